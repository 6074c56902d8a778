import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeClientQuotas } from '../../../broker/api/describe-client-quotas.ts'
import { errorName } from '../../../protocol/errors.ts'
import { testBroker, versionsOf } from '../harness.ts'

const table = { DescribeClientQuotas: describeClientQuotas }
const component = (entityType: string, matchType: number, match: string | null = null) => ({
  entityType,
  matchType,
  match,
})

test('there are no quotas, and every version says so', async () => {
  const { call } = await testBroker()
  const filters = [[], [component('user', 0, 'bob'), component('client-id', 1)]]
  for (const version of versionsOf('DescribeClientQuotas')) {
    for (const components of filters) {
      const response = await call(table, { components, strict: false }, version)
      assert.deepEqual([response.errorCode, response.entries], [0, []])
    }
  }
})

test('filters that make no sense are refused', async () => {
  const { call } = await testBroker()
  const refused = async (...components: readonly ReturnType<typeof component>[]) => {
    const response = await call(table, { components, strict: false })
    assert.equal(response.entries, null)
    return errorName(response.errorCode)
  }
  assert.equal(await refused(component('', 2)), 'INVALID_REQUEST')
  assert.equal(await refused(component('planet', 2)), 'UNSUPPORTED_VERSION')
  assert.equal(await refused(component('user', 0)), 'INVALID_REQUEST')
  assert.equal(await refused(component('user', 1, 'bob')), 'INVALID_REQUEST')
  assert.equal(await refused(component('user', 2, 'bob')), 'INVALID_REQUEST')
  assert.equal(await refused(component('user', 3)), 'INVALID_REQUEST')
  assert.equal(await refused(component('user', 2), component('user', 2)), 'INVALID_REQUEST')
  assert.equal(await refused(component('user', 2), component('ip', 2)), 'INVALID_REQUEST')
})
