import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeUserScramCredentials } from '../../../broker/api/describe-user-scram-credentials.ts'
import { errorName } from '../../../protocol/errors.ts'
import { testBroker } from '../harness.ts'

const table = { DescribeUserScramCredentials: describeUserScramCredentials }

test('nobody has credentials', async () => {
  const { call } = await testBroker()
  for (const users of [null, []]) {
    const response = await call(table, { users })
    assert.deepEqual([response.errorCode, response.results], [0, []])
  }
})

test('who is asked for is unknown, who is asked for twice is refused once', async () => {
  const { call } = await testBroker()
  const users = ['bob', 'al', 'al'].map(name => ({ name }))
  const { results } = await call(table, { users })
  assert.deepEqual(
    results.map(({ user, errorCode }) => [user, errorName(errorCode)]),
    [
      ['bob', 'RESOURCE_NOT_FOUND'],
      ['al', 'DUPLICATE_RESOURCE'],
    ],
  )
})
