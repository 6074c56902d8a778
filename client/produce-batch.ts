/**
 * A batch that a producer is filling, or has filled and is sending: records are encoded straight into the buffer that goes
 * out, behind room for the header, which `seal` writes. The layout is drawn in `protocol/record-batch.ts` and
 * `protocol/records.ts`.
 *
 * Everything that waits for a record waits for its batch: `deliveries` has one entry for each call of `send`, not for each
 * record of it.
 */
import { type CodecName, codecs, compress } from '../protocol/compression.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { RECORD_BATCH_OVERHEAD, sequenceAfter, writeBatchHeader } from '../protocol/record-batch.ts'
import { decodeHeaders, RecordCursor, varintSize } from '../protocol/records.ts'
import { AnswerError, RecordError } from './errors.ts'
import type { Bytes } from './serializers.ts'

/** Who waits for records of a batch; exactly one of the two is called, once for each batch. */
export interface Delivery {
  /** `baseOffset` is -1 where the broker did not say. */
  delivered(batch: ProduceBatch, baseOffset: number, logAppendTimeMs: number): void
  /** Without a batch: one record was refused before it came into any. */
  failed(error: Error, batch?: ProduceBatch): void
  /** The batch has become two: its records from `at` on are those of `second`. Adds itself to what it now waits for. */
  split(batch: ProduceBatch, at: number, first: ProduceBatch, second: ProduceBatch): void
}

export interface HeaderField {
  readonly key: Buffer
  readonly value: Bytes | null
}

export const NO_HEADERS: readonly HeaderField[] = []

/** Identity and sequence number that make a batch's repetition harmless. */
export interface Sequence {
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
}

export class ProduceBatch {
  readonly topic: string
  readonly partition: number
  readonly createdAtMs: number
  readonly deadlineMs: number
  /** Memory that this batch is charged for. */
  readonly chargedBytes: number
  readonly deliveries: Delivery[] = []
  count = 0
  baseTimestampMs = 0
  maxTimestampMs = 0
  isInFlight = false
  attempts = 0
  /** Why it has not been delivered yet. */
  lastError: Error | null = null
  sequence: Sequence | null = null
  /** The buffer that records go into. */
  private readonly buffer: Buffer
  private end = RECORD_BATCH_OVERHEAD
  /** What is sent in its place once it is compressed. */
  private packed: Buffer | null = null
  private codec: CodecName = 'none'
  private isPacked = false

  constructor(
    place: { readonly topic: string; readonly partition: number },
    buffer: Buffer,
    nowMs: number,
    deadlineMs: number,
    chargedBytes = buffer.length,
  ) {
    this.topic = place.topic
    this.partition = place.partition
    this.buffer = buffer
    this.chargedBytes = chargedBytes
    this.createdAtMs = nowMs
    this.deadlineMs = deadlineMs
  }

  /** Bytes so far, header included. */
  get size(): number {
    return this.packed?.length ?? this.end
  }

  /**
   * Appends a record; false, and nothing changed, if it does not fit. Texts are written as UTF-8. Sizes are counted here, in
   * one pass, because the record's length stands in front of it.
   */
  append(
    timestampMs: number,
    key: Bytes | null,
    value: Bytes | null,
    headers: readonly HeaderField[],
  ): boolean {
    const timestampDelta = this.count === 0 ? 0 : timestampMs - this.baseTimestampMs
    const keyLength = lengthOf(key)
    const valueLength = lengthOf(value)
    let length = 1 + varintSize(timestampDelta) + varintSize(this.count)
    length += varintSize(keyLength) + Math.max(0, keyLength)
    length += varintSize(valueLength) + Math.max(0, valueLength)
    length += headers.length === 0 ? 1 : headersSize(headers)
    if (this.end + varintSize(length) + length > this.buffer.length) return false
    const b = this.buffer
    let p = putVarint(b, this.end, length)
    b[p++] = 0
    p = putVarlong(b, p, timestampDelta)
    p = putVarint(b, p, this.count)
    p = putField(b, p, key, keyLength)
    p = putField(b, p, value, valueLength)
    p = putVarint(b, p, headers.length)
    for (const header of headers) {
      p = putField(b, p, header.key, header.key.length)
      p = putField(b, p, header.value, lengthOf(header.value))
    }
    this.end = p
    if (this.count === 0) this.baseTimestampMs = this.maxTimestampMs = timestampMs
    else if (timestampMs > this.maxTimestampMs) this.maxTimestampMs = timestampMs
    this.count++
    return true
  }

  /**
   * Compresses the records, once; a promise only where the codec is asynchronous, or rejected with a RecordError where it is
   * not here. Nothing can be appended any more.
   */
  pack(codec: CodecName, level: number | undefined): undefined | Promise<void> {
    if (this.isPacked || codec === 'none') return undefined
    this.isPacked = true
    const plain = this.buffer.subarray(RECORD_BATCH_OVERHEAD, this.end)
    let packed: Buffer | Promise<Buffer>
    try {
      packed = compress(codecs[codec], plain, level)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      const { topic, partition } = this
      const [reason, advice] = error.detail.split(/: (?=npm install)/)
      return Promise.reject(new RecordError(reason!, { topic, partition }, advice ?? ''))
    }
    if (Buffer.isBuffer(packed)) return this.take(codec, packed)
    return packed.then(bytes => this.take(codec, bytes))
  }

  /** Writes the header; returns the bytes to send. */
  seal(isTransactional: boolean): Buffer {
    const { sequence } = this
    const whole = this.packed ?? this.buffer.subarray(0, this.end)
    writeBatchHeader(whole, 0, whole.length, {
      recordCount: this.count,
      baseTimestamp: this.baseTimestampMs,
      maxTimestamp: this.maxTimestampMs,
      codec: codecs[this.codec],
      isTransactional,
      ...sequence,
    })
    return whole
  }

  /** The buffer records were put into: it may be used again. */
  release(): Buffer {
    return this.buffer
  }

  /**
   * The same records as two batches, for a broker that finds this one too large; null if there is only one. Sequence numbers
   * stay with their records: what was refused has not been written.
   */
  split(): [ProduceBatch, ProduceBatch] | null {
    if (this.count < 2) return null
    const at = this.count >>> 1
    const part = (chargedBytes: number) => {
      const buffer = Buffer.allocUnsafeSlow(this.end)
      return new ProduceBatch(this, buffer, this.createdAtMs, this.deadlineMs, chargedBytes)
    }
    const [first, second] = [part(this.chargedBytes), part(0)]
    const cursor = new RecordCursor()
    cursor.reset(this.buffer, RECORD_BATCH_OVERHEAD, this.end, this.count)
    while (cursor.next()) {
      const { keyStart, keyLength, valueStart, valueLength } = cursor
      const headers = decodeHeaders(this.buffer, cursor).map(({ key, value }) => {
        return { key: Buffer.from(key), value }
      })
      const to = cursor.offsetDelta < at ? first : second
      const key = keyLength < 0 ? null : this.buffer.subarray(keyStart, keyStart + keyLength)
      const end = valueStart + valueLength
      const value = valueLength < 0 ? null : this.buffer.subarray(valueStart, end)
      to.append(this.baseTimestampMs + cursor.timestampDelta, key, value, headers)
    }
    for (const half of [first, second]) half.attempts = this.attempts
    if (this.sequence !== null) {
      first.sequence = this.sequence
      const baseSequence = sequenceAfter(this.sequence.baseSequence, at)
      second.sequence = { ...this.sequence, baseSequence }
    }
    for (const delivery of this.deliveries) delivery.split(this, at, first, second)
    return [first, second]
  }

  delivered(baseOffset: number, logAppendTimeMs: number): void {
    for (const delivery of this.deliveries) delivery.delivered(this, baseOffset, logAppendTimeMs)
  }

  failed(error: Error): void {
    for (const delivery of this.deliveries) delivery.failed(error, this)
  }

  private take(codec: CodecName, packed: Buffer): undefined {
    const whole = Buffer.allocUnsafe(RECORD_BATCH_OVERHEAD + packed.length)
    whole.set(packed, RECORD_BATCH_OVERHEAD)
    this.packed = whole
    this.codec = codec
    return undefined
  }
}

/** What a broker has answered to a batch. */
export function answerTo(
  { topic, partition }: ProduceBatch,
  code: number,
  detail: string | null,
  broker: string,
): AnswerError {
  return new AnswerError(code, { api: 'Produce', broker, topic, partition }, detail)
}

/** Bytes of a batch that holds just this record. */
export function batchSizeOf(
  key: Bytes | null,
  value: Bytes | null,
  headers: readonly HeaderField[],
): number {
  const [keyLength, valueLength] = [lengthOf(key), lengthOf(value)]
  let length = 3 + varintSize(keyLength) + Math.max(0, keyLength)
  length += varintSize(valueLength) + Math.max(0, valueLength)
  length += headers.length === 0 ? 1 : headersSize(headers)
  return RECORD_BATCH_OVERHEAD + varintSize(length) + length
}

function lengthOf(bytes: Bytes | null): number {
  if (bytes === null) return -1
  return typeof bytes === 'string' ? Buffer.byteLength(bytes, 'utf8') : bytes.length
}

function headersSize(headers: readonly HeaderField[]): number {
  let size = varintSize(headers.length)
  for (const { key, value } of headers) {
    const valueLength = lengthOf(value)
    size += varintSize(key.length) + key.length
    size += varintSize(valueLength) + Math.max(0, valueLength)
  }
  return size
}

function putField(b: Buffer, p: number, bytes: Bytes | null, length: number): number {
  p = putVarint(b, p, length)
  if (bytes === null) return p
  if (typeof bytes === 'string') b.write(bytes, p, length, 'utf8')
  else b.set(bytes, p)
  return p + length
}

function putVarint(b: Buffer, p: number, value: number): number {
  let rest = ((value << 1) ^ (value >> 31)) >>> 0
  for (; rest >= 0x80; rest >>>= 7) b[p++] = (rest & 0x7f) | 0x80
  b[p++] = rest
  return p
}

function putVarlong(b: Buffer, p: number, value: number): number {
  if (value >= -0x40000000 && value < 0x40000000) return putVarint(b, p, value)
  let rest = value >= 0 ? value : -value - 1
  b[p++] = (rest % 64) * 2 + (value >= 0 ? 0 : 1) + 0x80
  rest = Math.floor(rest / 64)
  for (; rest >= 128; rest = Math.floor(rest / 128)) b[p++] = (rest % 128) | 0x80
  b[p++] = rest
  return p
}
