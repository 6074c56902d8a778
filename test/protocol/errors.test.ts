/** The error table is Kafka's, and errors travel as codes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type ErrorName,
  errorCode,
  errorName,
  errors,
  ProtocolError,
} from '../../protocol/errors.ts'
import { goldenJson, withoutGolden } from '../wire/golden.ts'

test("the error table equals Kafka's, row by row", { skip: withoutGolden }, () => {
  const kafka = goldenJson<Record<string, unknown>[]>('errors.json')
  const ours = Object.entries(errors).map(([name, row]) => ({ name, ...row }))
  const byCode = (a: Record<string, unknown>, b: Record<string, unknown>) =>
    Number(a['code']) - Number(b['code'])
  assert.deepEqual(ours.toSorted(byCode), kafka.toSorted(byCode))
})

test('names and codes translate into each other', () => {
  for (const name of Object.keys(errors) as ErrorName[]) {
    assert.equal(errorName(errorCode(name)), name)
  }
})

test('a code that is not in the table reads as UNKNOWN_SERVER_ERROR', () => {
  const last = Math.max(...Object.values(errors).map(row => row.code))
  assert.notEqual(errorName(last), 'UNKNOWN_SERVER_ERROR')
  assert.equal(errorName(last + 1), 'UNKNOWN_SERVER_ERROR')
  assert.equal(errorName(-2), 'UNKNOWN_SERVER_ERROR')
})

test('a ProtocolError carries its code, and its detail only if it has one', () => {
  const plain = new ProtocolError('NOT_LEADER_OR_FOLLOWER')
  assert.equal(plain.code, 6)
  assert.equal(plain.message, 'NOT_LEADER_OR_FOLLOWER')
  const detailed = new ProtocolError('INVALID_PARTITIONS', 'orders: 0 is below 1')
  assert.equal(detailed.code, 37)
  assert.equal(detailed.detail, 'orders: 0 is below 1')
  assert.equal(detailed.message, 'INVALID_PARTITIONS: orders: 0 is below 1')
})
