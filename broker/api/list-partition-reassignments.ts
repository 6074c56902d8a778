/** ListPartitionReassignments: with one broker no partition ever moves. */
import type { Handler } from '../context.ts'

export const listPartitionReassignments: Handler<'ListPartitionReassignments'> = () => ({
  errorCode: 0,
  topics: [],
})
