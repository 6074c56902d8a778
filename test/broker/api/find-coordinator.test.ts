import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findCoordinator } from '../../../broker/api/find-coordinator.ts'
import { errorName, errors } from '../../../protocol/errors.ts'
import { testBroker, versionsOf } from '../harness.ts'

const table = { FindCoordinator: findCoordinator }

test('every version says in words that there is none, with an error that is not repeated', async () => {
  const { call, counted } = await testBroker()
  for (const version of versionsOf('FindCoordinator')) {
    const request = version < 4 ? { key: 'g' } : { coordinatorKeys: ['g', 'h'] }
    const response = await call(table, request, version)
    const answers = version < 4 ? [response] : response.coordinators
    assert.equal(answers.length, version < 4 ? 1 : 2)
    for (const { errorCode, errorMessage, nodeId, port } of answers) {
      const name = errorName(errorCode)
      assert.equal(name, 'UNSUPPORTED_VERSION')
      assert.equal(errors[name].retriable, false)
      assert.deepEqual([nodeId, port], [-1, -1])
      if (version > 0) assert.match(errorMessage!, /no consumer groups yet/)
    }
  }
  assert.equal(counted.length, versionsOf('FindCoordinator').length)
})

test('each kind of coordinator has its own words', async () => {
  const { call } = await testBroker()
  const words = async (keyType: number) => {
    const { coordinators } = await call(table, { keyType, coordinatorKeys: ['k'] })
    return `${errorName(coordinators[0]!.errorCode)}: ${coordinators[0]!.errorMessage}`
  }
  assert.match(await words(1), /^UNSUPPORTED_VERSION: .*transactional\.id/)
  assert.match(await words(2), /^UNSUPPORTED_VERSION: .*share groups/)
  assert.match(await words(9), /^INVALID_REQUEST: /)
  assert.match(await words(-1), /^INVALID_REQUEST: /)
})

test('no keys have no answers', async () => {
  const { call } = await testBroker()
  assert.deepEqual((await call(table, { coordinatorKeys: [] })).coordinators, [])
})
