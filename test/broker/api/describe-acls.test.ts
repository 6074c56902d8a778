import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeAcls } from '../../../broker/api/describe-acls.ts'
import { errorName } from '../../../protocol/errors.ts'
import { testBroker, versionsOf } from '../harness.ts'

test('without an authorizer there are no rules to describe, and every version says so', async () => {
  const { call, counted } = await testBroker()
  const request = {
    resourceTypeFilter: 1,
    resourceNameFilter: null,
    principalFilter: null,
    hostFilter: null,
    operation: 1,
    permissionType: 1,
  }
  for (const version of versionsOf('DescribeAcls')) {
    const response = await call({ DescribeAcls: describeAcls }, request, version)
    assert.equal(errorName(response.errorCode), 'SECURITY_DISABLED')
    assert.equal(response.errorMessage, 'No Authorizer is configured on the broker')
  }
  assert.equal(counted.length, versionsOf('DescribeAcls').length)
})
