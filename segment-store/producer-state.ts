/**
 * What a log remembers of each producer id: its epoch, its last five batches (to recognise a repeated one and to see a
 * gap) and its open transaction. Kept in memory, saved in `.snapshot` files, and otherwise rebuilt from the batches.
 *
 *   snapshot file:  int16 version          1
 *                   uint32 crc             CRC-32C of everything behind it
 *                   int32 count, then for each producer
 *                     int64 producerId, int16 epoch
 *                     int32 lastSequence     -1: no batch in this epoch
 *                     int64 lastOffset, int32 offsetDelta   of its last batch (last offset - first offset)
 *                     int64 timestamp, int32 coordinatorEpoch
 *                     int64 currentTxnFirstOffset           -1: no open transaction
 *
 * A snapshot is named by the offset before which it has seen everything. Only the last batch of each producer is in it.
 */

import { MalformedError, Reader, Writer } from '../protocol/buffer.ts'
import { crc32c } from '../protocol/crc32c.ts'
import { ProtocolError } from '../protocol/errors.ts'
import * as batches from '../protocol/record-batch.ts'
import type { AbortedTransaction } from './txn-index.ts'

const REMEMBERED_BATCHES = 5
const SNAPSHOT_VERSION = 1
const ENTRY_BYTES = 46
const MAX_SEQUENCE = 0x7fffffff
const NONE = -1

/** Fields of one remembered batch, side by side in `ProducerEntry.batches`. */
const LAST_SEQUENCE = 0
const LAST_OFFSET = 1
const OFFSET_DELTA = 2
const TIMESTAMP = 3
const BATCH_FIELDS = 4

export class ProducerEntry {
  readonly producerId: number
  epoch = NONE
  coordinatorEpoch = NONE
  lastTimestamp = NONE
  currentTxnFirstOffset = NONE
  /** A ring of up to five batches; most producers never need more than one slot. */
  private batches: Float64Array = new Float64Array(BATCH_FIELDS)
  private count = 0
  private next = 0

  constructor(producerId: number) {
    this.producerId = producerId
  }

  /** Sequence of the last record of the last batch; -1 where there is none in this epoch. */
  get lastSequence(): number {
    return this.count === 0 ? NONE : this.last(LAST_SEQUENCE)
  }

  get lastOffset(): number {
    return this.count === 0 ? NONE : this.last(LAST_OFFSET)
  }

  get lastOffsetDelta(): number {
    return this.count === 0 ? 0 : this.last(OFFSET_DELTA)
  }

  private last(field: number): number {
    const slots = this.batches.length / BATCH_FIELDS
    return this.batches[((this.next + slots - 1) % slots) * BATCH_FIELDS + field]!
  }

  /** The slot of an earlier batch with this very range of sequences; -1 if it is none of the last five. */
  findDuplicate(epoch: number, firstSequence: number, lastSequence: number): number {
    if (epoch !== this.epoch) return NONE
    for (let slot = 0; slot < this.count; slot++) {
      const at = slot * BATCH_FIELDS
      if (this.batches[at + LAST_SEQUENCE] !== lastSequence) continue
      const first = (lastSequence - this.batches[at + OFFSET_DELTA]!) & MAX_SEQUENCE
      if (first === firstSequence) return slot
    }
    return NONE
  }

  lastOffsetOf(slot: number): number {
    return this.batches[slot * BATCH_FIELDS + LAST_OFFSET]!
  }

  baseOffsetOf(slot: number): number {
    return this.lastOffsetOf(slot) - this.batches[slot * BATCH_FIELDS + OFFSET_DELTA]!
  }

  timestampOf(slot: number): number {
    return this.batches[slot * BATCH_FIELDS + TIMESTAMP]!
  }

  /** A new epoch begins with no batches. */
  moveToEpoch(epoch: number): void {
    if (epoch === this.epoch) return
    this.epoch = epoch
    this.count = 0
    this.next = 0
  }

  add(lastSequence: number, lastOffset: number, offsetDelta: number, timestamp: number): void {
    if (this.count === 1 && this.batches.length === BATCH_FIELDS) this.grow()
    const slots = this.batches.length / BATCH_FIELDS
    const at = this.next * BATCH_FIELDS
    this.batches[at + LAST_SEQUENCE] = lastSequence
    this.batches[at + LAST_OFFSET] = lastOffset
    this.batches[at + OFFSET_DELTA] = offsetDelta
    this.batches[at + TIMESTAMP] = timestamp
    this.next = (this.next + 1) % slots
    if (this.count < slots) this.count += 1
    this.lastTimestamp = timestamp
  }

  /** Everything that a snapshot says of it, in Kafka's words. */
  describe(): { readonly [field: string]: number | null } {
    const { count, lastSequence, lastOffset, lastOffsetDelta: offsetDelta } = this
    const firstSequence = (lastSequence - offsetDelta) & MAX_SEQUENCE
    const timestamp = this.lastTimestamp
    return {
      producerId: this.producerId,
      producerEpoch: this.epoch,
      coordinatorEpoch: this.coordinatorEpoch,
      currentTxnFirstOffset:
        this.currentTxnFirstOffset === NONE ? null : this.currentTxnFirstOffset,
      lastTimestamp: this.lastTimestamp,
      ...(count > 0 && { firstSequence, lastSequence, lastOffset, offsetDelta, timestamp }),
    }
  }

  private grow(): void {
    const grown = new Float64Array(REMEMBERED_BATCHES * BATCH_FIELDS)
    grown.set(this.batches)
    this.batches = grown
    this.next = 1
  }
}

/** What DescribeProducers tells of a producer. */
export interface ActiveProducer {
  readonly producerId: number
  readonly epoch: number
  readonly lastSequence: number
  readonly lastTimestamp: number
  readonly coordinatorEpoch: number
  readonly currentTxnStartOffset: number
}

export class ProducerStates {
  private readonly producers = new Map<number, ProducerEntry>()
  /** Open transactions: producer id to first offset, in the order of those offsets. */
  private readonly ongoing = new Map<number, number>()
  private readonly expirationMs: number

  constructor(expirationMs: number) {
    this.expirationMs = expirationMs
  }

  get size(): number {
    return this.producers.size
  }

  active(): ActiveProducer[] {
    return Array.from(this.producers.values(), entry => ({
      producerId: entry.producerId,
      epoch: entry.epoch,
      lastSequence: entry.lastSequence,
      lastTimestamp: entry.lastTimestamp,
      coordinatorEpoch: entry.coordinatorEpoch,
      currentTxnStartOffset: entry.currentTxnFirstOffset,
    }))
  }

  entry(producerId: number): ProducerEntry | undefined {
    return this.producers.get(producerId)
  }

  entries(): IterableIterator<ProducerEntry> {
    return this.producers.values()
  }

  /** First offset of the oldest open transaction; null if none is open. */
  get firstUnstableOffset(): number | null {
    for (const offset of this.ongoing.values()) return offset
    return null
  }

  /**
   * Throws unless the batch continues what its producer sent before: INVALID_PRODUCER_EPOCH for one that has been
   * replaced, OUT_OF_ORDER_SEQUENCE_NUMBER for a gap. A producer that is not known may begin anywhere, because its
   * records may have been deleted; a known one begins a new epoch at 0.
   */
  checkAppend(
    known: ProducerEntry | undefined,
    epoch: number,
    firstSequence: number,
    offset: number,
  ): void {
    if (known === undefined || known.epoch === NONE) return
    if (epoch < known.epoch) {
      throw new ProtocolError(
        'INVALID_PRODUCER_EPOCH',
        `producer ${known.producerId} wrote with epoch ${epoch} at offset ${offset}, it is at ${known.epoch}`,
      )
    }
    const expected = epoch === known.epoch ? sequenceAfter(known.lastSequence) : 0
    if (firstSequence === expected) return
    throw new ProtocolError(
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
      `producer ${known.producerId} epoch ${epoch} wrote sequence ${firstSequence} at offset ${offset} where ${expected} was due`,
    )
  }

  /** Remembers a data batch that is now part of the log. */
  append(
    producerId: number,
    epoch: number,
    lastSequence: number,
    lastOffset: number,
    offsetDelta: number,
    timestamp: number,
    isTransactional: boolean,
  ): void {
    let entry = this.producers.get(producerId)
    if (entry === undefined) {
      entry = new ProducerEntry(producerId)
      this.producers.set(producerId, entry)
    }
    entry.moveToEpoch(epoch)
    entry.add(lastSequence, lastOffset, offsetDelta, timestamp)
    if (isTransactional && entry.currentTxnFirstOffset === NONE) {
      entry.currentTxnFirstOffset = lastOffset - offsetDelta
      this.ongoing.set(producerId, entry.currentTxnFirstOffset)
    }
  }

  /** Remembers the marker that ends a transaction; answers the transaction if it was aborted and had records. */
  endTransaction(
    producerId: number,
    epoch: number,
    marker: TransactionMarker,
    offset: number,
    timestamp: number,
  ): AbortedTransaction | null {
    let entry = this.producers.get(producerId)
    if (entry === undefined) {
      entry = new ProducerEntry(producerId)
      this.producers.set(producerId, entry)
    }
    const firstOffset = entry.currentTxnFirstOffset
    entry.moveToEpoch(epoch)
    entry.coordinatorEpoch = marker.coordinatorEpoch
    entry.lastTimestamp = timestamp
    entry.currentTxnFirstOffset = NONE
    this.ongoing.delete(producerId)
    if (firstOffset === NONE || !marker.isAbort) return null
    const lastStableOffset = this.firstUnstableOffset ?? offset + 1
    return { producerId, firstOffset, lastOffset: offset, lastStableOffset }
  }

  /** Takes a batch from the log itself, without judging it: recovery, and what a leader has already checked. */
  replay(buffer: Buffer, at: number): AbortedTransaction | null {
    const producerId = batches.producerId(buffer, at)
    if (producerId < 0) return null
    const epoch = batches.producerEpoch(buffer, at)
    const last = batches.lastOffset(buffer, at)
    const timestamp = batches.maxTimestamp(buffer, at)
    if (batches.isControl(buffer, at)) {
      const marker = readMarker(buffer, at)
      if (marker === null) return null
      return this.endTransaction(producerId, epoch, marker, last, timestamp)
    }
    const lastSequence = batches.lastSequence(buffer, at)
    const delta = batches.lastOffsetDelta(buffer, at)
    const isTransactional = batches.isTransactional(buffer, at)
    this.append(producerId, epoch, lastSequence, last, delta, timestamp, isTransactional)
    return null
  }

  /** Forgets producers that have written nothing for `producer.id.expiration.ms` and have no transaction open. */
  removeExpired(nowMs: number): void {
    for (const [producerId, entry] of this.producers) {
      if (this.hasExpired(entry, nowMs)) this.producers.delete(producerId)
    }
  }

  private hasExpired(entry: ProducerEntry, nowMs: number): boolean {
    return entry.currentTxnFirstOffset === NONE && nowMs - entry.lastTimestamp >= this.expirationMs
  }

  clear(): void {
    this.producers.clear()
    this.ongoing.clear()
  }

  encodeSnapshot(): Buffer {
    const writer = new Writer(10 + this.producers.size * ENTRY_BYTES)
    writer.int16(SNAPSHOT_VERSION)
    writer.uint32(0)
    writer.int32(this.producers.size)
    for (const entry of this.producers.values()) {
      writer.int64(entry.producerId)
      writer.int16(entry.epoch)
      writer.int32(entry.lastSequence)
      writer.int64(entry.lastOffset)
      writer.int32(entry.lastOffsetDelta)
      writer.int64(entry.lastTimestamp)
      writer.int32(entry.coordinatorEpoch)
      writer.int64(entry.currentTxnFirstOffset)
    }
    const bytes = writer.bytes()
    bytes.writeUInt32BE(crc32c(bytes, 6, bytes.length), 2)
    return bytes
  }

  /**
   * Replaces everything by a snapshot's contents. Throws MalformedError, having changed nothing, if it is damaged or
   * cannot be a snapshot of what lies before offset `end`.
   */
  loadSnapshot(bytes: Buffer, nowMs: number, end: number = Number.POSITIVE_INFINITY): void {
    const loaded = readSnapshot(bytes)
    const foreign = loaded.find(
      ({ lastOffset, currentTxnFirstOffset }) => Math.max(lastOffset, currentTxnFirstOffset) >= end,
    )
    if (foreign !== undefined) {
      const { producerId, lastOffset } = foreign
      throw new MalformedError(
        `producer snapshot of offset ${end} has producer ${producerId} at ${lastOffset}: it is of another log`,
      )
    }
    this.clear()
    for (const entry of loaded) {
      if (this.hasExpired(entry, nowMs)) continue
      this.producers.set(entry.producerId, entry)
    }
    const open = loaded.filter(entry => entry.currentTxnFirstOffset !== NONE)
    open.sort((a, b) => a.currentTxnFirstOffset - b.currentTxnFirstOffset)
    for (const entry of open) this.ongoing.set(entry.producerId, entry.currentTxnFirstOffset)
  }
}

function readSnapshot(bytes: Buffer): ProducerEntry[] {
  const reader = new Reader(bytes)
  const version = reader.int16()
  if (version !== SNAPSHOT_VERSION) throw new MalformedError(`producer snapshot version ${version}`)
  if (reader.uint32() !== crc32c(bytes, 6, bytes.length)) {
    throw new MalformedError('producer snapshot with a wrong checksum')
  }
  const count = reader.int32()
  if (count * ENTRY_BYTES !== reader.remaining) {
    throw new MalformedError(`producer snapshot of ${count} entries has ${bytes.length} bytes`)
  }
  const entries: ProducerEntry[] = []
  for (let i = 0; i < count; i++) {
    const entry = new ProducerEntry(reader.int64())
    entry.moveToEpoch(reader.int16())
    const lastSequence = reader.int32()
    const lastOffset = reader.int64()
    const offsetDelta = reader.int32()
    const timestamp = reader.int64()
    if (lastOffset >= 0) entry.add(lastSequence, lastOffset, offsetDelta, timestamp)
    entry.lastTimestamp = timestamp
    entry.coordinatorEpoch = reader.int32()
    entry.currentTxnFirstOffset = reader.int64()
    entries.push(entry)
  }
  return entries
}

/** The sequence that follows; 0 after the greatest, and after none. */
function sequenceAfter(sequence: number): number {
  return sequence === MAX_SEQUENCE ? 0 : sequence + 1
}

export interface TransactionMarker {
  readonly isAbort: boolean
  readonly coordinatorEpoch: number
}

/**
 * The transaction marker in a control batch; null if it holds another kind of control record.
 *
 *   record:  varint length, int8 attributes, varlong timestamp delta, varint offset delta,
 *            varint key length,   key:   int16 version, int16 type (0 abort, 1 commit)
 *            varint value length, value: int16 version, int32 coordinatorEpoch
 */
export function readMarker(buffer: Buffer, at: number): TransactionMarker | null {
  const end = Math.min(buffer.length, at + batches.sizeInBytes(buffer, at))
  const reader = new Reader(buffer, at + batches.RECORD_BATCH_OVERHEAD, end)
  reader.varint()
  reader.int8()
  reader.varlong()
  reader.varint()
  if (reader.varint() < 4) return null
  reader.int16()
  const type = reader.int16()
  if (type !== 0 && type !== 1) return null
  if (reader.varint() < 6) return null
  reader.int16()
  return { isAbort: type === 0, coordinatorEpoch: reader.int32() }
}
