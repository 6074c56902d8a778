/**
 * Spans and trace headers of OpenTelemetry, for programs that have set it up. That is seen by what `@opentelemetry/api` leaves
 * on `globalThis` when an SDK registers; only then is that package loaded. A program without it pays one look at a symbol
 * for each producer and consumer that it makes.
 *
 *   send, sendBatch       span `send <topic>` (PRODUCER) until it is written; its context is in the headers of all its records
 *   sendFrom              a span `create <topic>` (PRODUCER) for each record
 *   eachMessage           span `process <topic>` (CONSUMER) around each call of the handler: child of, and linked to, the
 *                         record's span
 *   eachBatch             one for the batch, linked to the spans of its records
 *
 * Names and attributes are those of OpenTelemetry's semantic conventions for messaging and Kafka.
 */
import { createRequire } from 'node:module'
import type * as Otel from '@opentelemetry/api'
import { SOFTWARE_VERSION } from './config.ts'
import { nameOf } from './telemetry.ts'

const PACKAGE = '@opentelemetry/api'
/** Where all copies of the package of one major version meet. */
const REGISTERED = Symbol.for('opentelemetry.js.api.1')

type HeaderList = readonly { readonly key: string; readonly value: unknown }[]
type GivenHeaders = HeaderList | Readonly<Record<string, unknown>>

/** What a span says of a record that is sent. */
interface Outgoing {
  readonly headers?: GivenHeaders | undefined
  readonly key?: unknown
  readonly value: unknown
}

interface Incoming {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly key: unknown
  readonly value: unknown
  readonly headers: HeaderList
}

interface IncomingBatch {
  readonly topic: string
  readonly partition: number
  readonly records: readonly Incoming[]
}

export class Tracing {
  private readonly otel: typeof Otel
  private readonly tracer: Otel.Tracer
  private readonly clientId: string

  private constructor(otel: typeof Otel, clientId: string) {
    this.otel = otel
    this.clientId = clientId
    this.tracer = otel.trace.getTracer('ottla', SOFTWARE_VERSION)
  }

  /** Null unless the program has set up tracing. */
  static find(clientId: string): Tracing | null {
    const global = (globalThis as { readonly [REGISTERED]?: { readonly trace?: unknown } })[
      REGISTERED
    ]
    if (global?.trace === undefined) return null
    try {
      return new Tracing(createRequire(import.meta.url)(PACKAGE) as typeof Otel, clientId)
    } catch {
      // Registered by a copy that is not in reach from here.
      return null
    }
  }

  /** Sends records of one call under a span. `send` is given the records with the span's context in their headers. */
  async sending<R extends Outgoing, T>(
    topic: string,
    records: readonly R[],
    send: (records: R[]) => Promise<T>,
  ): Promise<T> {
    const count = records.length
    const attributes =
      count === 1 ? attributesOf(records[0]!) : { 'messaging.batch.message_count': count }
    const span = this.start('send', topic, 'PRODUCER', attributes)
    try {
      const written = await send(records.map(record => this.injected(record, span)))
      if (count === 1) span.setAttributes(placeOf(written))
      return written
    } catch (error) {
      this.fail(span, error)
      throw error
    } finally {
      span.end()
    }
  }

  /** A record of a stream, under a span of its own. */
  created<R extends Outgoing>(topic: string, record: R): R {
    const span = this.start('create', topic, 'PRODUCER', attributesOf(record))
    const sent = this.injected(record, span)
    span.end()
    return sent
  }

  /** The handler, in a span for each call. */
  handling<R extends Incoming, A extends unknown[]>(
    group: string,
    handle: (record: R, ...rest: A) => Promise<void> | void,
  ): (record: R, ...rest: A) => Promise<void> | void {
    const { context, propagation, trace } = this.otel
    return (record, ...rest) => {
      const from = propagation.extract(context.active(), record.headers, this.getter)
      const span = this.start(
        'process',
        record.topic,
        'CONSUMER',
        {
          ...attributesOf(record),
          ...groupOf(group),
          'messaging.destination.partition.id': String(record.partition),
          'messaging.kafka.offset': record.offset,
        },
        from,
        linksTo(trace.getSpanContext(from)),
      )
      return this.within(trace.setSpan(from, span), span, () => handle(record, ...rest))
    }
  }

  /** The same for batches. */
  handlingBatches<B extends IncomingBatch, A extends unknown[]>(
    group: string,
    handle: (batch: B, ...rest: A) => Promise<void> | void,
  ): (batch: B, ...rest: A) => Promise<void> | void {
    const { context, propagation, trace, ROOT_CONTEXT } = this.otel
    return (batch, ...rest) => {
      const links = batch.records.flatMap(({ headers }) =>
        headers.length === 0
          ? []
          : linksTo(trace.getSpanContext(propagation.extract(ROOT_CONTEXT, headers, this.getter))),
      )
      const active = context.active()
      const attributes = {
        ...groupOf(group),
        'messaging.destination.partition.id': String(batch.partition),
        'messaging.batch.message_count': batch.records.length,
      }
      const span = this.start('process', batch.topic, 'CONSUMER', attributes, active, links)
      return this.within(trace.setSpan(active, span), span, () => handle(batch, ...rest))
    }
  }

  private within(
    context: Otel.Context,
    span: Otel.Span,
    work: () => Promise<void> | void,
  ): Promise<void> | void {
    const failed = (error: unknown): never => {
      this.fail(span, error)
      span.end()
      throw error
    }
    let working: Promise<void> | void
    try {
      working = this.otel.context.with(context, work)
    } catch (error) {
      return failed(error)
    }
    if (working === undefined) return span.end()
    return Promise.resolve(working).then(() => span.end(), failed)
  }

  private start(
    operation: 'send' | 'create' | 'process',
    topic: string,
    kind: 'PRODUCER' | 'CONSUMER',
    attributes: Otel.Attributes,
    parent: Otel.Context = this.otel.context.active(),
    links: Otel.Link[] = [],
  ): Otel.Span {
    const known = {
      'messaging.system': 'kafka',
      'messaging.operation.name': operation,
      'messaging.operation.type': operation,
      'messaging.destination.name': topic,
      'messaging.client.id': this.clientId,
    }
    const options = {
      kind: this.otel.SpanKind[kind],
      attributes: { ...known, ...attributes },
      links,
    }
    return this.tracer.startSpan(`${operation} ${topic}`, options, parent)
  }

  private fail(span: Otel.Span, error: unknown): void {
    const exception = error instanceof Error ? error : new Error(String(error))
    span.setAttribute('error.type', nameOf(error))
    span.recordException(exception)
    span.setStatus({ code: this.otel.SpanStatusCode.ERROR, message: exception.message })
  }

  /** A record that was read may be sent on with its headers: their trace gives way to the one it goes on in. */
  private injected<R extends Outgoing>(record: R, span: Otel.Span): R {
    const { context, propagation, trace } = this.otel
    const fields = new Set(propagation.fields())
    const headers = listOf(record.headers).filter(({ key }) => !fields.has(key))
    propagation.inject(trace.setSpan(context.active(), span), headers, {
      set: (carrier, key, value) => void carrier.push({ key, value }),
    })
    return { ...record, headers }
  }

  private readonly getter: Otel.TextMapGetter<HeaderList> = {
    keys: headers => headers.map(({ key }) => key),
    get: (headers, name) => {
      const value = headers.find(({ key }) => key === name)?.value
      return value === undefined || value === null ? undefined : String(value)
    },
  }
}

function listOf(headers: GivenHeaders | undefined): { key: string; value: unknown }[] {
  if (headers === undefined) return []
  if (Array.isArray(headers)) return [...(headers as HeaderList)]
  return Object.entries(headers).flatMap(([key, value]) =>
    Array.isArray(value) ? value.map(one => ({ key, value: one })) : [{ key, value }],
  )
}

/** Of one record. Keys that are no text have no form that everybody would write the same. */
function attributesOf({ key, value }: Outgoing): Otel.Attributes {
  const isText = typeof key === 'string' || typeof key === 'number' || typeof key === 'bigint'
  return {
    ...(isText ? { 'messaging.kafka.message.key': String(key) } : {}),
    ...(value === null ? { 'messaging.kafka.message.tombstone': true } : {}),
  }
}

function groupOf(group: string): Otel.Attributes {
  return group === '' ? {} : { 'messaging.consumer.group.name': group }
}

function linksTo(context: Otel.SpanContext | undefined): Otel.Link[] {
  return context === undefined ? [] : [{ context }]
}

/** From what `send` or `sendBatch` resolves to. */
function placeOf(written: unknown): Otel.Attributes {
  const place = (Array.isArray(written) ? written[0] : written) as
    | { partition: number; offset?: number; baseOffset?: number }
    | undefined
  if (place === undefined) return {}
  const offset = place.offset ?? place.baseOffset ?? -1
  return {
    'messaging.destination.partition.id': String(place.partition),
    ...(offset < 0 ? {} : { 'messaging.kafka.offset': offset }),
  }
}
