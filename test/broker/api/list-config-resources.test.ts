import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listConfigResources } from '../../../broker/api/list-config-resources.ts'
import { errorName } from '../../../protocol/errors.ts'
import { testBroker } from '../harness.ts'

async function list(resourceTypes: readonly number[], version = 1) {
  const { call, createTopic } = await testBroker()
  await createTopic('a')
  const request = version === 0 ? {} : { resourceTypes }
  return call({ ListConfigResources: listConfigResources }, request, version)
}
const shown = async (...types: readonly number[]) =>
  (await list(types)).configResources.map(r => `${r.resourceType} ${r.resourceName}`)

test('no types lists all resources, others only theirs', async () => {
  assert.deepEqual(await shown(), ['2 a', '4 1', '8 1'])
  assert.deepEqual(await shown(2), ['2 a'])
  assert.deepEqual(await shown(4, 16), ['4 1'])
  assert.deepEqual(await shown(32), [])
})

test('groups are listed that have settings of their own', async () => {
  const tested = await testBroker()
  const settings = { 'consumer.heartbeat.interval.ms': '6000' }
  // A group id may be anything.
  for (const id of ['g/1 %', 'ü']) {
    await tested.broker.controller.alterConfigs('group', id, () => settings)
  }
  const request = { resourceTypes: [32] }
  const listed = await tested.call({ ListConfigResources: listConfigResources }, request)
  assert.deepEqual(listed.configResources.map(one => one.resourceName).sort(), ['g/1 %', 'ü'])
  await tested.broker.controller.alterConfigs('group', 'ü', () => ({}))
  const left = await tested.call({ ListConfigResources: listConfigResources }, request)
  assert.deepEqual(left.configResources, [{ resourceName: 'g/1 %', resourceType: 32 }])
})

test('version 0 asks for subscriptions to client metrics, of which there are none', async () => {
  const { errorCode, configResources } = await list([], 0)
  assert.deepEqual([errorCode, configResources], [0, []])
})

test('a type that does not exist is refused', async () => {
  assert.equal(errorName((await list([2, 3])).errorCode), 'UNSUPPORTED_VERSION')
})
