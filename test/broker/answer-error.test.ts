import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answerError } from '../../broker/answer-error.ts'
import type { RequestContext } from '../../broker/context.ts'
import { MalformedError } from '../../protocol/buffer.ts'
import { errorCode, ProtocolError } from '../../protocol/errors.ts'
import { recordingLogger } from './harness.ts'

function answer(error: unknown) {
  const logger = recordingLogger()
  const counted: string[] = []
  const context = { countError: (name: string) => counted.push(name) } as unknown as RequestContext
  return { ...answerError({ logger }, context, error), counted, lines: logger.lines }
}

test('an expected failure keeps its code and its words, and is counted but not logged', () => {
  assert.deepEqual(answer(new ProtocolError('INVALID_CONFIG', 'no such setting')), {
    errorCode: 40,
    errorMessage: 'no such setting',
    counted: ['INVALID_CONFIG'],
    lines: [],
  })
  assert.equal(answer(new ProtocolError('INVALID_CONFIG')).errorMessage, null)
})

test('bytes that are not what they should be are a corrupt message', () => {
  const { errorCode: code, lines } = answer(new MalformedError('need 4 bytes'))
  assert.equal(code, errorCode('CORRUPT_MESSAGE'))
  assert.deepEqual(lines, [])
})

test('anything else is logged with its stack and tells the client nothing of our insides', () => {
  const { errorCode: code, errorMessage, counted, lines } = answer(new TypeError('x of undefined'))
  assert.equal(code, errorCode('UNKNOWN_SERVER_ERROR'))
  assert.doesNotMatch(errorMessage!, /undefined/)
  assert.deepEqual(counted, ['UNKNOWN_SERVER_ERROR'])
  assert.match(String(lines[0]!.fields['error']), /x of undefined\n\s+at /)
})
