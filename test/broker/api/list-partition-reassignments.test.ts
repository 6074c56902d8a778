import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listPartitionReassignments } from '../../../broker/api/list-partition-reassignments.ts'
import { testBroker, versionsOf } from '../harness.ts'

test('no partition is being moved, and every version says so', async () => {
  const { call } = await testBroker()
  for (const version of versionsOf('ListPartitionReassignments')) {
    const response = await call(
      { ListPartitionReassignments: listPartitionReassignments },
      {},
      version,
    )
    assert.deepEqual([response.errorCode, response.topics], [0, []])
  }
})
