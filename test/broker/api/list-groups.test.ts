import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listGroups } from '../../../broker/api/list-groups.ts'
import { testBroker, versionsOf } from '../harness.ts'

test('there are no groups, and every version says so', async () => {
  const { call } = await testBroker()
  for (const version of versionsOf('ListGroups')) {
    const response = await call({ ListGroups: listGroups }, {}, version)
    assert.deepEqual([response.errorCode, response.groups], [0, []])
  }
})
