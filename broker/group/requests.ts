/** From a request about a group to its group: what all handlers of group APIs have in common. */
import { type ErrorName, errorName, ProtocolError } from '../../protocol/errors.ts'
import { answerError } from '../answer-error.ts'
import type { Broker } from '../broker.ts'
import { AfterTurn, type Answer, type RequestContext } from '../context.ts'
import { readableAddress } from '../listeners.ts'
import type { GroupEntry } from './coordinator.ts'
import type { GroupClient, GroupEvent, GroupResponse, Ticket } from './step.ts'

/** Who sent the request, as groups show it. */
export function clientOf(context: RequestContext): GroupClient {
  return {
    clientId: context.clientId ?? '',
    clientHost: `/${readableAddress(context.clientAddress)}`,
    connectionId: context.connectionId,
  }
}

/** A new member id: the client's id or the member's static one, and something that nobody else has. */
export function newMemberId(broker: Broker, prefix: string): string {
  const hex = Buffer.from(broker.io.uuid(), 'base64url').toString('hex')
  return `${prefix}-${hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')}`
}

/** The name of the error that `error` becomes; anything unexpected is logged. */
export function errorOf(broker: Broker, context: RequestContext, error: unknown): ErrorName {
  if (error instanceof ProtocolError) return error.error
  return errorName(answerError(broker, context, error).errorCode)
}

/**
 * Hands a member's request to its group. `missing` is the error where there is no such group; null creates it. Errors are
 * counted, wherever they come from.
 */
export function submitTo<R extends GroupResponse & { readonly errorCode: number }>(
  broker: Broker,
  context: RequestContext,
  groupId: string,
  options: {
    readonly missing: ErrorName | null
    /** The error for an empty group id, where it is not INVALID_GROUP_ID. */
    readonly empty?: ErrorName
    readonly event: (ticket: Ticket) => GroupEvent
    /** `why` in words, where there are some. */
    readonly failed: (error: ErrorName, why?: string) => R
  },
): Answer<R> {
  const counted = (response: R): R => {
    context.countError(errorName(response.errorCode))
    return response
  }
  const { missing, event, failed, empty = 'INVALID_GROUP_ID' } = options
  try {
    if (groupId === '') throw new ProtocolError(empty, 'the group id is empty')
    const entry = entryFor(broker, groupId, missing)
    return then(broker.groups.submit(entry, event, failed), counted)
  } catch (error) {
    const why = error instanceof ProtocolError ? error.detail : undefined
    return counted(failed(errorOf(broker, context, error), why))
  }
}

function entryFor(broker: Broker, groupId: string, missing: ErrorName | null): GroupEntry {
  if (missing === null) return broker.groups.findOrCreate(groupId)
  const entry = broker.groups.find(groupId)
  if (entry === undefined) throw new ProtocolError(missing, `there is no group '${groupId}'`)
  return entry
}

function then<R>(answer: Answer<R>, use: (value: R) => R): Answer<R> {
  if (answer instanceof Promise) return answer.then(use)
  if (!(answer instanceof AfterTurn)) return use(answer)
  return new AfterTurn(() => {
    const value = answer.complete()
    return value instanceof Promise ? value.then(use) : use(value)
  })
}
