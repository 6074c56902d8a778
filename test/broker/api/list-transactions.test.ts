import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listTransactions } from '../../../broker/api/list-transactions.ts'
import { errorName } from '../../../protocol/errors.ts'
import { testBroker, versionsOf } from '../harness.ts'

const table = { ListTransactions: listTransactions }
const request = { stateFilters: [], producerIdFilters: [] }

test('there are no transactions, and every version says so', async () => {
  const { call } = await testBroker()
  for (const version of versionsOf('ListTransactions')) {
    const response = await call(table, request, version)
    assert.deepEqual([response.errorCode, response.transactionStates], [0, []])
  }
})

test('states that do not exist are named', async () => {
  const { call } = await testBroker()
  const response = await call(table, { ...request, stateFilters: ['Ongoing', 'nope'] })
  assert.deepEqual(response.unknownStateFilters, ['nope'])
})

test('a pattern that is none is refused', async () => {
  const { call } = await testBroker()
  const refused = await call(table, { ...request, transactionalIdPattern: '(' })
  assert.equal(errorName(refused.errorCode), 'INVALID_REGULAR_EXPRESSION')
  assert.equal((await call(table, { ...request, transactionalIdPattern: '^t.*' })).errorCode, 0)
})
