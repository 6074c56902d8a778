import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alterConfigs } from '../../../broker/api/alter-configs.ts'
import { errorName } from '../../../protocol/errors.ts'
import { type TestBroker, testBroker, versionsOf } from '../harness.ts'

const [TOPIC, BROKER] = [2, 4]

async function alter(
  { call }: TestBroker,
  resourceType: number,
  resourceName: string,
  configs: Readonly<Record<string, string | null>>,
  validateOnly = false,
  version?: number,
) {
  const list = Object.entries(configs).map(([name, value]) => ({ name, value }))
  const request = { resources: [{ resourceType, resourceName, configs: list }], validateOnly }
  const { responses } = await call({ AlterConfigs: alterConfigs }, request, version)
  const [answer] = responses
  assert.deepEqual([answer!.resourceType, answer!.resourceName], [resourceType, resourceName])
  return `${errorName(answer!.errorCode)}: ${answer!.errorMessage}`
}

test('what is listed replaces all that was set, at every version', async () => {
  for (const version of versionsOf('AlterConfigs')) {
    const tested = await testBroker()
    await tested.createTopic('a', 1, { 'retention.ms': '7', 'segment.ms': '8' })
    const answer = await alter(tested, TOPIC!, 'a', { 'retention.ms': '9' }, false, version)
    assert.equal(answer, 'NONE: null')
    assert.deepEqual(tested.broker.image.topics.get('a')!.configs, { 'retention.ms': '9' })
  }
})

test('nothing listed takes everything back; the topic stays', async () => {
  const tested = await testBroker()
  await tested.createTopic('a', 1, { 'retention.ms': '7' })
  await alter(tested, TOPIC!, 'a', {})
  assert.deepEqual(tested.broker.image.topics.get('a')!.configs, {})
})

test('the settings of this broker change, and those of all brokers', async () => {
  const tested = await testBroker()
  assert.equal(await alter(tested, BROKER!, '', { 'message.max.bytes': '2000' }), 'NONE: null')
  assert.equal(tested.broker.config.messageMaxBytes, 2000)
  assert.equal(await alter(tested, BROKER!, '1', { 'message.max.bytes': '3000' }), 'NONE: null')
  assert.equal(tested.broker.config.messageMaxBytes, 3000)
  assert.equal(await alter(tested, BROKER!, '1', {}), 'NONE: null')
  assert.equal(tested.broker.config.messageMaxBytes, 2000)
})

test('validateOnly checks and changes nothing', async () => {
  const tested = await testBroker()
  await tested.createTopic('a')
  assert.equal(await alter(tested, TOPIC!, 'a', { 'retention.ms': '9' }, true), 'NONE: null')
  assert.match(await alter(tested, TOPIC!, 'a', { nope: '9' }, true), /^INVALID_CONFIG/)
  assert.deepEqual(tested.broker.image.topics.get('a')!.configs, {})
})

test('what does not exist, or is not valid, is refused and nothing changes', async () => {
  const tested = await testBroker()
  await tested.createTopic('a', 1, { 'retention.ms': '7' })
  assert.equal(
    await alter(tested, TOPIC!, 'none', { 'retention.ms': '1' }),
    "UNKNOWN_TOPIC_OR_PARTITION: The topic 'none' does not exist.",
  )
  assert.match(await alter(tested, TOPIC!, 'a', { 'retention.ms': 'x' }), /^INVALID_CONFIG/)
  assert.match(await alter(tested, TOPIC!, 'a', { 'retention.ms': null }), /^INVALID_REQUEST/)
  assert.match(await alter(tested, BROKER!, '9', {}), /^INVALID_REQUEST: Unexpected broker id/)
  assert.match(await alter(tested, BROKER!, '1', { 'node.id': '2' }), /Cannot update these configs/)
  assert.match(await alter(tested, 16, 'm', {}), /^INVALID_REQUEST: .* cannot be changed here yet/)
  assert.match(await alter(tested, 32, 'g', { nope: '1' }), /^INVALID_CONFIG: Unknown group config/)
  assert.match(await alter(tested, 3, 'g', {}), /^INVALID_REQUEST: Unknown resource type 3/)
  assert.deepEqual(tested.broker.image.topics.get('a')!.configs, { 'retention.ms': '7' })
})
