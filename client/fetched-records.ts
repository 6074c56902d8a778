/**
 * From the bytes that a Fetch brought to records: one batch at a time, when the application gets to it. The checksum is
 * verified, markers of transactions are left out, and with `read_committed` what was written by transactions that were
 * aborted (the broker names them, with the offset at which each begins).
 *
 * Keys and values are views of what came from the network, or of the decompressed batch; they stay valid.
 */

import { MalformedError } from '../protocol/buffer.ts'
import { codecs, decompress } from '../protocol/compression.ts'
import {
  baseOffset,
  baseTimestamp,
  batchEnd,
  codec,
  computeCrc,
  crc,
  isControl,
  isTransactional,
  lastOffset,
  leaderEpoch as leaderEpochOf,
  magic,
  maxTimestamp,
  producerId,
  RECORD_BATCH_OVERHEAD,
  recordCount,
  timestampType,
} from '../protocol/record-batch.ts'
import { decodeHeaders, RecordCursor, type RecordHeader } from '../protocol/records.ts'
import { AnswerError, SerializerError } from './errors.ts'
import type { Serializer } from './serializers.ts'

/** What a consumer gives to the application. */
export interface ConsumerRecord<K = Buffer, V = Buffer> {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestampMs: number
  readonly key: K | null
  readonly value: V | null
  readonly headers: readonly RecordHeader[]
}

/** How keys and values are read. */
export interface Reading<K, V> {
  readonly topic: string
  readonly partition: number
  readonly checkCrcs: boolean
  readonly maxBatchBytes: number
  /** Whether all that a Fetch brought is one batch. */
  readonly isWhole: boolean
  /** Keeps the bytes of each record, where somebody may have to write them again. */
  readonly raws: RawBytes | null
  key(bytes: Buffer, offset: number): K
  value(bytes: Buffer, offset: number): V
}

/** Keys and values as they came, by record. */
export type RawBytes = WeakMap<
  object,
  { readonly key: Buffer | null; readonly value: Buffer | null }
>

interface Aborted {
  readonly producerId: number
  readonly firstOffset: number
}

const NO_HEADERS: readonly RecordHeader[] = []
const CORRUPT = 2
const ABORT_MARKER = 0

/** What one Fetch brought for one partition. */
export class FetchedRecords<K, V> {
  /** Bytes that have not been read yet. */
  get bytesLeft(): number {
    return this.buffer.length - this.position
  }

  /** The offset behind the last whole batch: where the next Fetch goes on. */
  readonly endOffset: number
  /** Leader epoch of the last whole batch; -1: there is none. */
  readonly endEpoch: number
  /** Leader epoch of the batch that was given last. */
  leaderEpoch = -1
  private readonly reading: Reading<K, V>
  private readonly buffer: Buffer
  private readonly aborted: Aborted[] | null
  private readonly abortedNow = new Set<number>()
  private readonly cursor = new RecordCursor()
  private position = 0

  /** `aborted` is null where uncommitted records are wanted, too. */
  constructor(
    reading: Reading<K, V>,
    buffer: Buffer,
    fetchOffset: number,
    aborted: readonly Aborted[] | null,
  ) {
    this.reading = reading
    this.buffer = buffer
    this.aborted =
      aborted === null ? null : [...aborted].sort((a, b) => a.firstOffset - b.firstOffset)
    let endOffset = fetchOffset
    let endEpoch = -1
    for (let p = 0, next = batchEnd(buffer, 0); next !== -1; next = batchEnd(buffer, p)) {
      if (magic(buffer, p) !== 2)
        throw this.corrupt(fetchOffset, 'is of a format before Kafka 0.11')
      endOffset = Math.max(endOffset, lastOffset(buffer, p) + 1)
      endEpoch = leaderEpochOf(buffer, p)
      p = next
    }
    this.endOffset = endOffset
    this.endEpoch = endEpoch
  }

  /**
   * The records of the next batch from `fromOffset` on; empty where the batch holds none that are shown; null at the end. A
   * promise only for a codec that is asynchronous here.
   */
  nextBatch(fromOffset: number): ConsumerRecord<K, V>[] | null | Promise<ConsumerRecord<K, V>[]> {
    const records = this.nextWritten(fromOffset)
    if (!this.reading.isWhole || records === null || records instanceof Promise) return records
    for (;;) {
      const position = this.position
      try {
        const more = this.nextWritten(fromOffset)
        if (more === null) return records
        if (more instanceof Promise) return more.then(late => records.concat(late))
        for (const record of more) records.push(record)
      } catch (error) {
        // What is whole is given first; the next call meets the error again.
        if (records.length === 0) throw error
        this.position = position
        return records
      }
    }
  }

  private nextWritten(
    fromOffset: number,
  ): ConsumerRecord<K, V>[] | null | Promise<ConsumerRecord<K, V>[]> {
    const { buffer: b, position: p } = this
    const end = batchEnd(b, p)
    if (end === -1) {
      this.position = b.length
      return null
    }
    this.position = end
    this.leaderEpoch = leaderEpochOf(b, p)
    if (this.reading.checkCrcs && computeCrc(b, p) !== crc(b, p)) {
      throw this.corrupt(baseOffset(b, p), 'has a wrong checksum')
    }
    if (this.isHidden(p, end)) return []
    const start = p + RECORD_BATCH_OVERHEAD
    if (codec(b, p) === codecs.none || recordCount(b, p) === 0) {
      return this.decode(p, b, start, end, fromOffset)
    }
    const plain = decompress(codec(b, p), b.subarray(start, end), this.reading.maxBatchBytes)
    if (Buffer.isBuffer(plain)) return this.decode(p, plain, 0, plain.length, fromOffset)
    return plain.then(bytes => this.decode(p, bytes, 0, bytes.length, fromOffset))
  }

  private decode(
    p: number,
    bytes: Buffer,
    start: number,
    end: number,
    fromOffset: number,
  ): ConsumerRecord<K, V>[] {
    const { topic, partition } = this.reading
    const { cursor, reading, buffer: b } = this
    const { raws } = reading
    const base = baseOffset(b, p)
    const isLogTime = timestampType(b, p) === 'LogAppendTime'
    const baseMs = isLogTime ? maxTimestamp(b, p) : baseTimestamp(b, p)
    const records: ConsumerRecord<K, V>[] = []
    cursor.reset(bytes, start, end, recordCount(b, p))
    while (cursor.next()) {
      const offset = base + cursor.offsetDelta
      if (offset < fromOffset) continue
      const keyBytes = bytesAt(bytes, cursor.keyStart, cursor.keyLength)
      const valueBytes = bytesAt(bytes, cursor.valueStart, cursor.valueLength)
      const headers = cursor.headerCount === 0 ? NO_HEADERS : decodeHeaders(bytes, cursor)
      const timestampMs = isLogTime ? baseMs : baseMs + cursor.timestampDelta
      let record: ConsumerRecord<K, V>
      try {
        const key = keyBytes === null ? null : reading.key(keyBytes, offset)
        const value = valueBytes === null ? null : reading.value(valueBytes, offset)
        record = { topic, partition, offset, timestampMs, key, value, headers }
      } catch (error) {
        // Those before it are given first; the next call meets it again, as the first one.
        if (records.length === 0)
          throw unreadable(error, {
            topic,
            partition,
            offset,
            timestampMs,
            key: keyBytes,
            value: valueBytes,
            headers,
          })
        this.position = p
        return records
      }
      raws?.set(record, { key: keyBytes, value: valueBytes })
      records.push(record)
    }
    return records
  }

  /** Whether the batch at `p` is a marker, or belongs to a transaction that was aborted. */
  private isHidden(p: number, end: number): boolean {
    const { buffer: b, aborted, abortedNow } = this
    const id = producerId(b, p)
    if (aborted !== null) {
      const last = lastOffset(b, p)
      while (aborted.length > 0 && aborted[0]!.firstOffset <= last) {
        abortedNow.add(aborted.shift()!.producerId)
      }
      if (isControl(b, p) && this.markerType(p, end) === ABORT_MARKER) abortedNow.delete(id)
    }
    if (isControl(b, p)) return true
    return isTransactional(b, p) && abortedNow.has(id)
  }

  /** A marker's key is its version and its type, two bytes each. */
  private markerType(p: number, end: number): number {
    const { cursor, buffer: b } = this
    cursor.reset(b, p + RECORD_BATCH_OVERHEAD, end, recordCount(b, p))
    if (recordCount(b, p) === 0 || !cursor.next() || cursor.keyLength < 4) return -1
    return b.readInt16BE(cursor.keyStart + 2)
  }

  private corrupt(offset: number, what: string): AnswerError {
    const { topic, partition } = this.reading
    const place = { api: 'Fetch', topic, partition }
    const detail = `the batch at offset ${offset} ${what}; seek behind it to go on without its records`
    return new AnswerError(CORRUPT, place, detail, false)
  }
}

function bytesAt(bytes: Buffer, start: number, length: number): Buffer | null {
  return length < 0 ? null : bytes.subarray(start, start + length)
}

function unreadable(error: unknown, record: ConsumerRecord): unknown {
  if (error instanceof SerializerError) error.record = record
  return error
}

/** How a consumer reads one partition; what a serializer refuses is named with its place. */
export function readingOf<K, V>(
  config: {
    readonly key: Serializer<K> | null
    readonly value: Serializer<V> | null
    readonly checkCrcs: boolean
    readonly maxBatchBytes: number
    readonly batches: 'written' | 'fetched'
  },
  raws: RawBytes | null,
  topic: string,
  partition: number,
): Reading<K, V> {
  const reader =
    <T>(serializer: Serializer<T> | null, part: 'key' | 'value') =>
    (bytes: Buffer, offset: number): T => {
      if (serializer === null) return bytes as T
      try {
        return serializer.deserialize(bytes, topic)
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause)
        const where = `topic '${topic}' partition ${partition} offset ${offset}`
        throw new SerializerError(`${where}, ${part}: ${reason}`, cause)
      }
    }
  const { checkCrcs, maxBatchBytes } = config
  const [key, value] = [reader(config.key, 'key'), reader(config.value, 'value')]
  const isWhole = config.batches === 'fetched'
  return { topic, partition, checkCrcs, maxBatchBytes, isWhole, raws, key, value }
}

/** Damage that the checksum did not show, said with its place. */
export function damaged(
  error: Error,
  { topic, partition, position }: { topic: string; partition: number; position: number },
): Error {
  if (!(error instanceof MalformedError)) return error
  const detail = `the batch at offset ${position} or behind it cannot be read: ${error.message}`
  return new AnswerError(CORRUPT, { api: 'Fetch', topic, partition }, detail, false)
}
