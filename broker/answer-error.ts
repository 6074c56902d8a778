/**
 * The one place where a failure behind a handler becomes an error code and words for the client.
 *
 * An expected failure is a `ProtocolError` and keeps its code; bytes that are not what they should be are
 * CORRUPT_MESSAGE; anything else is our bug or our disk: UNKNOWN_SERVER_ERROR, logged with its stack.
 */
import { MalformedError } from '../protocol/buffer.ts'
import { type ErrorName, errorCode, ProtocolError } from '../protocol/errors.ts'
import type { RequestContext } from './context.ts'
import type { Logger } from './logger.ts'

export interface ErrorAnswer {
  readonly errorCode: number
  readonly errorMessage: string | null
}

/** Counts the error, logs it where nobody expected it, and answers what goes on the wire. */
export function answerError(
  broker: { readonly logger: Logger },
  context: RequestContext,
  error: unknown,
): ErrorAnswer {
  if (error instanceof ProtocolError) return refusal(context, error.error, error.detail)
  if (error instanceof MalformedError) return refusal(context, 'CORRUPT_MESSAGE', error.message)
  broker.logger.error('request failed unexpectedly', {
    connectionId: context.connectionId,
    clientId: context.clientId,
    apiVersion: context.apiVersion,
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  })
  return refusal(context, 'UNKNOWN_SERVER_ERROR', 'unexpected error; see the log of the broker')
}

/** An error that a handler finds itself; counted like one that was thrown. */
export function refusal(context: RequestContext, name: ErrorName, message = ''): ErrorAnswer {
  context.countError(name)
  return { errorCode: errorCode(name), errorMessage: message === '' ? null : message }
}

/** The answer where nothing failed. */
export const NO_ERROR: ErrorAnswer = { errorCode: 0, errorMessage: null }
