/** What our client throws, as kafkajs would have named it: `cause` keeps ours, which says more. */
import {
  AnswerError,
  ConnectionError,
  OptionError,
  PartialError,
  RecordError,
  SerializerError,
  TimeoutError,
  VersionError,
} from '../errors.ts'
import {
  KafkaJSAggregateError,
  KafkaJSConnectionError,
  KafkaJSError,
  KafkaJSNonRetriableError,
  KafkaJSNumberOfRetriesExceeded,
  KafkaJSOffsetOutOfRange,
  KafkaJSProtocolError,
  KafkaJSRequestTimeoutError,
  KafkaJSServerDoesNotSupportApiKey,
  type ProtocolErrorLike,
} from './errors.ts'

/** Errors that kafkajs calls by the names that Kafka had for them before 2.0. */
const OLDER_NAMES: Readonly<Record<string, string>> = {
  UNKNOWN_SERVER_ERROR: 'UNKNOWN',
  NOT_LEADER_OR_FOLLOWER: 'NOT_LEADER_FOR_PARTITION',
  COORDINATOR_LOAD_IN_PROGRESS: 'GROUP_LOAD_IN_PROGRESS',
  COORDINATOR_NOT_AVAILABLE: 'GROUP_COORDINATOR_NOT_AVAILABLE',
  NOT_COORDINATOR: 'NOT_COORDINATOR_FOR_GROUP',
}

/** kafkajs retries what is retriable; `retryCount` and `retryTime` are what its error for giving up carries. */
export interface Retrying {
  readonly retries: number
  readonly initialRetryTime: number
}

/** Any error as one of kafkajs's; those that are already, and those of the application, stay as they are. */
export function kafkaJsError(error: unknown, retrying: Retrying): Error {
  if (error instanceof AnswerError) return fromAnswer(error)
  if (error instanceof TimeoutError) {
    if (error.cause instanceof Error) {
      return new KafkaJSNumberOfRetriesExceeded(kafkaJsError(error.cause, retrying), {
        retryCount: retrying.retries,
        retryTime: retrying.initialRetryTime,
      })
    }
    return new KafkaJSRequestTimeoutError(error, { broker: error.place.broker })
  }
  if (error instanceof ConnectionError) {
    const { place, cause } = error
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : undefined
    const broker = place.broker
    return new KafkaJSConnectionError(`Connection error: ${error.message}`, {
      broker,
      cause: error,
      ...(code !== undefined && { code }),
    })
  }
  if (error instanceof VersionError) {
    return new KafkaJSServerDoesNotSupportApiKey(error, { apiName: error.place.api })
  }
  if (error instanceof PartialError) {
    const failures = error.failures.map(failure => kafkaJsError(failure, retrying))
    return failures.length === 1 ? failures[0]! : new KafkaJSAggregateError(error.message, failures)
  }
  const isRefusal =
    error instanceof OptionError || error instanceof RecordError || error instanceof SerializerError
  if (isRefusal) return new KafkaJSNonRetriableError(error, { cause: error })
  return error instanceof Error ? error : new KafkaJSError(String(error))
}

/** The parts of an answer's error that kafkajs's classes are made of. */
export function protocolError(error: AnswerError): ProtocolErrorLike {
  const { message, code, retriable } = error
  return { message, code, retriable, type: OLDER_NAMES[error.error] ?? error.error, cause: error }
}

function fromAnswer(error: AnswerError): Error {
  const { topic, partition } = error
  if (error.error === 'OFFSET_OUT_OF_RANGE' && topic !== undefined && partition !== undefined) {
    return new KafkaJSOffsetOutOfRange(protocolError(error), { topic, partition })
  }
  return new KafkaJSProtocolError(protocolError(error))
}
