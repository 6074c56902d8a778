/** The error classes of kafkajs, by its names and with its fields, so that `instanceof`, `name` and `type` go on working. */

interface Options {
  readonly retriable?: boolean | undefined
  readonly cause?: unknown
}

const textOf = (error: Error | string) => (typeof error === 'string' ? error : error.message)

export class KafkaJSError extends Error {
  override name = 'KafkaJSError'
  readonly retriable: boolean
  declare readonly helpUrl?: string
  declare readonly cause?: Error

  constructor(error: Error | string, { retriable = true, cause }: Options = {}) {
    super(textOf(error), cause === undefined ? {} : { cause })
    this.retriable = retriable
  }
}

export class KafkaJSNonRetriableError extends KafkaJSError {
  override name = 'KafkaJSNonRetriableError'

  constructor(error: Error | string, { cause }: Options = {}) {
    super(error, { retriable: false, cause })
  }
}

/** One of Kafka's errors, as an answer names it. */
export interface ProtocolErrorLike {
  readonly message: string
  readonly type: string
  readonly code: number
  readonly retriable?: boolean
  readonly cause?: unknown
}

export class KafkaJSProtocolError extends KafkaJSError {
  override name = 'KafkaJSProtocolError'
  readonly type: string
  readonly code: number

  constructor(error: ProtocolErrorLike, options: Options = {}) {
    const { retriable = error.retriable, cause = error.cause } = options
    super(error.message, { retriable: retriable ?? false, cause })
    this.type = error.type
    this.code = error.code
  }
}

export class KafkaJSOffsetOutOfRange extends KafkaJSProtocolError {
  override name = 'KafkaJSOffsetOutOfRange'
  readonly topic: string
  readonly partition: number

  constructor(
    error: ProtocolErrorLike,
    { topic, partition }: { readonly topic: string; readonly partition: number },
  ) {
    super(error)
    this.topic = topic
    this.partition = partition
  }
}

export class KafkaJSMemberIdRequired extends KafkaJSProtocolError {
  override name = 'KafkaJSMemberIdRequired'
  readonly memberId: string

  constructor(error: ProtocolErrorLike, { memberId }: { readonly memberId: string }) {
    super(error)
    this.memberId = memberId
  }
}

export class KafkaJSNumberOfRetriesExceeded extends KafkaJSNonRetriableError {
  override name = 'KafkaJSNumberOfRetriesExceeded'
  readonly retryCount: number
  readonly retryTime: number

  constructor(
    error: Error,
    { retryCount, retryTime }: { readonly retryCount: number; readonly retryTime: number },
  ) {
    super(error, { cause: error })
    this.retryCount = retryCount
    this.retryTime = retryTime
  }
}

export class KafkaJSConnectionError extends KafkaJSError {
  override name = 'KafkaJSConnectionError'
  readonly broker: string | undefined
  readonly code: string | undefined

  constructor(
    error: Error | string,
    { broker, code, cause }: { broker?: string | undefined; code?: string; cause?: unknown } = {},
  ) {
    super(error, { cause })
    this.broker = broker
    this.code = code
  }
}

export class KafkaJSConnectionClosedError extends KafkaJSConnectionError {
  override name = 'KafkaJSConnectionClosedError'
  readonly host: string | undefined
  readonly port: number | undefined

  constructor(error: Error | string, { host, port }: { host?: string; port?: number } = {}) {
    super(error, { broker: `${host}:${port}` })
    this.host = host
    this.port = port
  }
}

export class KafkaJSRequestTimeoutError extends KafkaJSError {
  override name = 'KafkaJSRequestTimeoutError'
  readonly broker: string | undefined

  constructor(error: Error | string, { broker }: { broker?: string | undefined } = {}) {
    super(error)
    this.broker = broker
  }
}

export class KafkaJSMetadataNotLoaded extends KafkaJSError {
  override name = 'KafkaJSMetadataNotLoaded'
}

export class KafkaJSTopicMetadataNotLoaded extends KafkaJSMetadataNotLoaded {
  override name = 'KafkaJSTopicMetadataNotLoaded'
  readonly topic: string | undefined

  constructor(error: Error | string, { topic }: { topic?: string } = {}) {
    super(error)
    this.topic = topic
  }
}

export class KafkaJSStaleTopicMetadataAssignment extends KafkaJSError {
  override name = 'KafkaJSStaleTopicMetadataAssignment'
  readonly topic: string | undefined
  readonly unknownPartitions: readonly number[] | undefined

  constructor(
    error: Error | string,
    { topic, unknownPartitions }: { topic?: string; unknownPartitions?: readonly number[] } = {},
  ) {
    super(error)
    this.topic = topic
    this.unknownPartitions = unknownPartitions
  }
}

export interface DeleteGroupsResult {
  readonly groupId: string
  readonly errorCode?: number
  readonly error?: KafkaJSProtocolError
}

export class KafkaJSDeleteGroupsError extends KafkaJSError {
  override name = 'KafkaJSDeleteGroupsError'
  readonly groups: readonly DeleteGroupsResult[]

  constructor(error: Error | string, groups: readonly DeleteGroupsResult[] = []) {
    super(error)
    this.groups = groups
  }
}

export class KafkaJSServerDoesNotSupportApiKey extends KafkaJSNonRetriableError {
  override name = 'KafkaJSServerDoesNotSupportApiKey'
  readonly apiKey: number | undefined
  readonly apiName: string | undefined

  constructor(
    error: Error | string,
    { apiKey, apiName }: { apiKey?: number | undefined; apiName?: string | undefined } = {},
  ) {
    super(error)
    this.apiKey = apiKey
    this.apiName = apiName
  }
}

export class KafkaJSBrokerNotFound extends KafkaJSError {
  override name = 'KafkaJSBrokerNotFound'
}

export class KafkaJSPartialMessageError extends KafkaJSNonRetriableError {
  override name = 'KafkaJSPartialMessageError'
}

export class KafkaJSSASLAuthenticationError extends KafkaJSNonRetriableError {
  override name = 'KafkaJSSASLAuthenticationError'
}

export class KafkaJSGroupCoordinatorNotFound extends KafkaJSNonRetriableError {
  override name = 'KafkaJSGroupCoordinatorNotFound'
}

export class KafkaJSNotImplemented extends KafkaJSNonRetriableError {
  override name = 'KafkaJSNotImplemented'
}

export class KafkaJSTimeout extends KafkaJSNonRetriableError {
  override name = 'KafkaJSTimeout'
}

export class KafkaJSLockTimeout extends KafkaJSTimeout {
  override name = 'KafkaJSLockTimeout'
}

export class KafkaJSUnsupportedMagicByteInMessageSet extends KafkaJSNonRetriableError {
  override name = 'KafkaJSUnsupportedMagicByteInMessageSet'
}

export interface DeleteRecordsFailure {
  readonly partition: number
  readonly offset: string
  readonly error: KafkaJSError
}

export class KafkaJSDeleteTopicRecordsError extends KafkaJSError {
  override name = 'KafkaJSDeleteTopicRecordsError'
  readonly partitions: readonly DeleteRecordsFailure[]

  constructor({ partitions }: { readonly partitions: readonly DeleteRecordsFailure[] }) {
    const retriable = partitions.every(({ error }) => error.retriable)
    super('Error while deleting records', { retriable })
    this.partitions = partitions
  }
}

export class KafkaJSInvariantViolation extends KafkaJSNonRetriableError {
  override name = 'KafkaJSInvariantViolation'
}

export class KafkaJSInvalidVarIntError extends KafkaJSNonRetriableError {}

export class KafkaJSInvalidLongError extends KafkaJSNonRetriableError {}

export class KafkaJSCreateTopicError extends KafkaJSProtocolError {
  override name = 'KafkaJSCreateTopicError'
  readonly topic: string

  constructor(error: ProtocolErrorLike, topic: string) {
    super(error)
    this.topic = topic
  }
}

export class KafkaJSAlterPartitionReassignmentsError extends KafkaJSProtocolError {
  override name = 'KafkaJSAlterPartitionReassignmentsError'
  readonly topic: string | undefined
  readonly partition: number | undefined

  constructor(error: ProtocolErrorLike, topic?: string, partition?: number) {
    super(error)
    this.topic = topic
    this.partition = partition
  }
}

export class KafkaJSAggregateError extends Error {
  override name = 'KafkaJSAggregateError'
  readonly errors: readonly Error[]

  constructor(message: string, errors: readonly Error[]) {
    super(message)
    this.errors = errors
  }
}

export class KafkaJSFetcherRebalanceError extends Error {}

export class KafkaJSNoBrokerAvailableError extends KafkaJSError {
  override name = 'KafkaJSNoBrokerAvailableError'

  constructor() {
    super('No broker available')
  }
}
