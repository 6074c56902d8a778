import assert from 'node:assert/strict'
import { test } from 'node:test'
import { initProducerId } from '../../../broker/api/init-producer-id.ts'
import { errorName } from '../../../protocol/errors.ts'
import { testBroker, versionsOf } from '../harness.ts'

const idempotent = { transactionalId: null, transactionTimeoutMs: 60_000 }

test('each producer has an id of its own with epoch 0, at every version', async () => {
  const { call } = await testBroker()
  for (const [i, version] of versionsOf('InitProducerId').entries()) {
    const answer = await call({ InitProducerId: initProducerId }, idempotent, version)
    assert.deepEqual([answer.errorCode, answer.producerId, answer.producerEpoch], [0, i, 0])
  }
})

test('inside a block the answer is there at once', async () => {
  const { broker, call } = await testBroker()
  await call({ InitProducerId: initProducerId }, idempotent)
  const request = { ...idempotent, producerId: -1, producerEpoch: -1 }
  assert.ok(!(initProducerId(broker, request, null as never) instanceof Promise))
})

test('transactions are refused with an error that ends the attempt', async () => {
  const { call, counted } = await testBroker()
  const request = { ...idempotent, transactionalId: 't' }
  const answer = await call({ InitProducerId: initProducerId }, request)
  assert.deepEqual(
    [errorName(answer.errorCode), answer.producerId, answer.producerEpoch],
    ['UNSUPPORTED_VERSION', -1, -1],
  )
  assert.deepEqual(counted, ['UNSUPPORTED_VERSION'])
})

test('an empty transactional id, and half of an id and epoch, are invalid', async () => {
  const { call } = await testBroker()
  for (const wrong of [{ transactionalId: '' }, { producerId: 3 }, { producerEpoch: 3 }]) {
    const answer = await call({ InitProducerId: initProducerId }, { ...idempotent, ...wrong })
    assert.equal(errorName(answer.errorCode), 'INVALID_REQUEST')
  }
})

test('a store that cannot give ids is an error, not a hanging producer', async () => {
  const { call, store } = await testBroker()
  await store.close()
  const answer = await call({ InitProducerId: initProducerId }, idempotent)
  assert.deepEqual([errorName(answer.errorCode), answer.producerId], ['UNKNOWN_SERVER_ERROR', -1])
})
