/** What the errors of the client say, and what a program can read from them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  AnswerError,
  ClosedError,
  ConnectionError,
  isRetriable,
  needsMetadata,
  PartialError,
  rootError,
  TimeoutError,
  VersionError,
} from '../../client/errors.ts'
import { type ErrorName, errorCode, errors } from '../../protocol/errors.ts'

test('an answer error names topic, partition, broker and API, and says what to do, in one line', () => {
  const place = { api: 'Fetch', broker: 'broker 2 at b:9092', topic: 'orders', partition: 3 }
  const error = new AnswerError(6, place)
  assert.equal(error.error, 'NOT_LEADER_OR_FOLLOWER')
  assert.deepEqual(
    [error.topic, error.partition, error.broker],
    ['orders', 3, 'broker 2 at b:9092'],
  )
  assert.equal(
    error.message,
    "topic 'orders' partition 3: this broker does not lead the partition (NOT_LEADER_OR_FOLLOWER, Fetch, broker 2 at b:9092): try again.",
  )
})

test("the broker's own words win over ours, unless they say nothing", () => {
  const place = { topic: 't' }
  assert.match(new AnswerError(40, place, 'retention.ms\nis x.').message, /retention\.ms is x \(/)
  const generic = 'This server does not host this topic-partition.'
  assert.match(new AnswerError(3, place, generic).message, /there is no such topic/)
})

test('every error of the table makes a message of one line', () => {
  for (const name of Object.keys(errors) as ErrorName[]) {
    const error = new AnswerError(errorCode(name), { topic: 't' })
    assert.equal(error.error, name)
    assert.match(error.message, /^topic 't': [^\n]+\.$/)
    assert.equal(isRetriable(error), errors[name].retriable)
  }
})

test('what a broker of ours may answer about groups and records has words of its own', () => {
  const place = { api: 'DeleteGroups', subject: "group 'readers'" }
  assert.equal(
    new AnswerError(errorCode('GROUP_ID_NOT_FOUND'), place).message,
    "group 'readers': there is no such group (GROUP_ID_NOT_FOUND, DeleteGroups): check its name; 'ottla group list' has them all.",
  )
  const detail = 'The group is dead'
  assert.match(
    new AnswerError(errorCode('NON_EMPTY_GROUP'), place, detail).message,
    /: The group is dead \(.*\): stop its consumers first\.$/,
  )
})

test('a code that we do not know is shown as its number', () => {
  assert.match(new AnswerError(9_999, {}).message, /error code 9999/)
})

test('retriable, and old metadata, are told from the error', () => {
  const lost = new ConnectionError('gone', {})
  assert.deepEqual([isRetriable(lost), needsMetadata(lost)], [true, true])
  const late = new TimeoutError('late', { cause: lost })
  assert.deepEqual([isRetriable(late), needsMetadata(late)], [true, false])
  assert.equal(rootError(late), lost)
  const finals = [new ClosedError(), new VersionError('v', {}, ''), new Error('x'), 'x', null]
  for (const error of finals) assert.equal(isRetriable(error), false)
  assert.equal(needsMetadata(new AnswerError(41, {})), true)
  assert.equal(needsMetadata(new AnswerError(7, {})), false)
})

test('a partial error holds every failure and what succeeded', () => {
  const failure = new AnswerError(36, { topic: 'a' })
  const error = new PartialError([failure], ['b', 'c'])
  assert.match(error.message, /^1 of 3 failed\. topic 'a'/)
  assert.deepEqual(error.succeeded, ['b', 'c'])
})
