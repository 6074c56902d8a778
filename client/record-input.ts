/**
 * A record as an application gives it, on its way to bytes: what cannot be sent as it is is refused here, in words. Every
 * record comes through here, so only what is read of it is looked at; the names of its fields are with the first of a topic.
 */
import { caught, checkCall, checkList, checkText, checkWhole } from './arguments.ts'
import { OptionError, RecordError, SerializerError } from './errors.ts'
import { type Names, nearest, told } from './option-names.ts'
import { type HeaderField, NO_HEADERS } from './produce-batch.ts'
import type { Bytes, Serializer } from './serializers.ts'

export type HeaderValue = Bytes | null
/** Headers by name, several of one name as a list; or a list, which keeps an order across names. */
export type Headers =
  | Readonly<Record<string, HeaderValue | readonly HeaderValue[]>>
  | readonly { readonly key: string; readonly value: HeaderValue }[]

/** A record without its topic. */
export interface Message<K, V> {
  /** Default: as the partitioner says. */
  readonly partition?: number | undefined
  readonly key?: K | null | undefined
  /** Null deletes the key from a compacted topic. */
  readonly value: V | null
  readonly headers?: Headers | undefined
  /** Default: now. */
  readonly timestampMs?: number | undefined
}

export interface NewRecord<K, V> extends Message<K, V> {
  readonly topic: string
}

export interface SendOptions {
  /** Gives up waiting; a record that is on its way may be written all the same. */
  readonly signal?: AbortSignal | undefined
}

export interface StreamOptions extends SendOptions {
  /** Records on their way at once; the source is not read while there are more. Default: 10,000. */
  readonly maxOutstanding?: number | undefined
}

const FIELDS: Names<NewRecord<unknown, unknown>> = {
  topic: true,
  partition: true,
  key: true,
  value: true,
  headers: true,
  timestampMs: true,
}
/** What `send` takes when none are given: nobody has to look at them. */
export const NO_OPTIONS: SendOptions = {}
const SEND: Names<SendOptions> = { signal: true }
const STREAM: Names<StreamOptions> = { signal: true, maxOutstanding: true }

export function isRecord(given: unknown): given is object {
  return typeof given === 'object' && given !== null
}

/** What is wrong with a call of `send`, apart from what the record says. */
export function wrongRecord(given: unknown, options: SendOptions): Error | null {
  if (!isRecord(given))
    return new OptionError(`the record is ${told(given)}: give { topic, value }.`)
  return options === NO_OPTIONS ? null : caught(() => checkCall(options, SEND, 'send'))
}

/** The same of `sendBatch`. */
export function wrongBatch(topic: unknown, messages: unknown, options: SendOptions): Error | null {
  if (typeof topic === 'string' && Array.isArray(messages) && messages.every(isRecord)) {
    return options === NO_OPTIONS ? null : caught(() => checkCall(options, SEND, 'sendBatch'))
  }
  return caught(() => {
    checkText(topic, 'topic', 'give its name: sendBatch(topic, messages)')
    checkList(messages, 'messages', '[{ key, value }], and the topic before it')
    const odd = (messages as readonly unknown[]).find(message => !isRecord(message))
    throw new OptionError(`one of messages is ${told(odd)}: give { key, value }.`)
  })
}

/** Throws an OptionError for what `sendFrom` cannot read. */
export function checkSource(source: unknown, options: StreamOptions): void {
  checkCall(options, STREAM, 'sendFrom')
  const { maxOutstanding = 1 } = options
  checkWhole(maxOutstanding, 'maxOutstanding', 1)
  const isIterable =
    isRecord(source) && (Symbol.asyncIterator in source || Symbol.iterator in source)
  if (isIterable) return
  throw new OptionError(`the source is ${told(source)}: give a list, a stream, or a generator.`)
}

/**
 * Throws an OptionError for a field that is read by nobody and was probably meant for one that is missing: `timestamp`. Others
 * may be there, as in a record that was read and is sent on.
 */
export function checkFields(record: object): void {
  for (const name of Object.keys(record)) {
    if (Object.hasOwn(FIELDS, name)) continue
    const meant = nearest(name, Object.keys(FIELDS))
    if (meant === null || Object.hasOwn(record, meant)) continue
    throw new OptionError(`the record has ${name}, which is not known: did you mean ${meant}?`)
  }
}

export function noValue(topic: string): RecordError {
  const advice = 'give null for a record without one, which deletes its key'
  return new RecordError(`topic '${topic}': the record has no value`, { topic }, advice)
}

/** Throws a RecordError. */
export function timeOf(given: number, topic: string): number {
  if (Number.isSafeInteger(given) && given >= 0) return given
  const advice = 'give milliseconds since 1970, such as date.getTime()'
  throw new RecordError(`topic '${topic}': timestampMs is ${told(given)}`, { topic }, advice)
}

/** Throws a RecordError for what can be no partition of any topic. */
export function placeIn(given: number, topic: string): number {
  if (Number.isSafeInteger(given) && given >= 0) return given
  const advice = 'give a whole number of at least 0, or leave it out'
  throw new RecordError(`topic '${topic}': partition is ${told(given)}`, { topic }, advice)
}

/** Throws a SerializerError. */
export function serialized<T>(
  serializer: Serializer<T>,
  value: T,
  topic: string,
  part: 'key' | 'value',
): Bytes {
  let written: Bytes
  try {
    written = serializer.serialize(value, topic)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new SerializerError(`topic '${topic}', ${part}: ${reason}`, cause)
  }
  if (typeof written === 'string' || written instanceof Uint8Array) return written
  const advice = `give a serializer, such as { ${part}: json() }`
  const what = typeof written === 'object' ? told(written) : typeof written
  throw new SerializerError(`topic '${topic}', ${part}: ${what} is no bytes: ${advice}`)
}

/** Throws a SerializerError. */
export function headerFields(headers: Headers | null | undefined): readonly HeaderField[] {
  if (headers == null) return NO_HEADERS
  if (Array.isArray(headers)) {
    const list = headers as readonly { readonly key: string; readonly value: HeaderValue }[]
    return list.map(header => headerField(header?.key, header?.value))
  }
  if (typeof headers !== 'object' || headers instanceof Map) {
    const advice = 'give { name: value }, or [{ key, value }]'
    throw new SerializerError(`headers is ${told(headers)}: ${advice}`)
  }
  const fields: HeaderField[] = []
  for (const [key, value] of Object.entries(headers)) {
    const values = Array.isArray(value) ? (value as HeaderValue[]) : [value as HeaderValue]
    for (const one of values) fields.push(headerField(key, one))
  }
  return fields
}

function headerField(key: string, value: HeaderValue): HeaderField {
  if (typeof key !== 'string') {
    throw new SerializerError(`the key of a header is ${told(key)}: give { key, value }`)
  }
  if (value !== null && typeof value !== 'string' && !(value instanceof Uint8Array)) {
    const advice = 'give text or bytes, such as String(value)'
    throw new SerializerError(`header '${key}': ${typeof value} is no bytes: ${advice}`)
  }
  return { key: Buffer.from(key), value }
}
