/**
 * Reads one partition of `__consumer_offsets` from its start to its end, record by record. Nothing in it can stop the
 * broker: what cannot be read is counted and left out.
 *
 * Kafka also writes transactions into it: their offsets count from the marker that commits them on.
 */
import { MalformedError } from '../../protocol/buffer.ts'
import { decodeOffsetsRecord, type OffsetsRecord } from '../../protocol/messages/offsets-topic.ts'
import * as batches from '../../protocol/record-batch.ts'
import { type DecodedRecord, decodeBatch } from '../../protocol/records.ts'
import type { LogSlice } from '../../segment-store/log.ts'
import type { Partition } from '../replication/partition.ts'

export interface LoadSummary {
  records: number
  /** Bytes of the log that were read. */
  bytes: number
  /** Records or batches that could not be read. */
  unreadable: number
  /** The first of them. */
  firstFault: string | null
  /** Transactions without an end. */
  unfinished: number
}

const MAX_DECOMPRESSED_BYTES = 64 * 1024 * 1024
const COMMIT_MARKER = 1

/** Calls `apply` for each record in order; stops early when `isWanted` says so. */
export async function loadPartition(
  partition: Partition,
  bufferBytes: number,
  isWanted: () => boolean,
  apply: (record: OffsetsRecord) => void,
): Promise<LoadSummary> {
  const loader = new Loader(partition, apply)
  const { log } = partition
  const end = partition.highWatermark.value
  let offset = log.logStartOffset
  while (offset < end && isWanted()) {
    const request = {
      offset,
      maxBytes: bufferBytes,
      upTo: end,
      minOneBatch: true,
      committed: false,
    }
    let slice: LogSlice | null = null
    try {
      slice = await log.read(request)
      const next = await loader.read(Buffer.concat(slice.chunks), offset)
      if (next <= offset) throw new MalformedError(`no whole batch at offset ${offset}`)
      offset = next
    } catch (error) {
      loader.fault(offset, error)
      break
    } finally {
      slice?.release()
    }
  }
  loader.summary.unfinished = loader.openTransactions
  return loader.summary
}

class Loader {
  readonly summary: LoadSummary = {
    records: 0,
    bytes: 0,
    unreadable: 0,
    firstFault: null,
    unfinished: 0,
  }
  private readonly partition: Partition
  private readonly apply: (record: OffsetsRecord) => void
  private readonly transactions = new Map<number, OffsetsRecord[]>()

  constructor(partition: Partition, apply: (record: OffsetsRecord) => void) {
    this.partition = partition
    this.apply = apply
  }

  get openTransactions(): number {
    return this.transactions.size
  }

  /** The offset behind the last whole batch in these bytes. */
  async read(bytes: Buffer, from: number): Promise<number> {
    let next = from
    this.summary.bytes += bytes.length
    for (const position of batches.batchPositions(bytes)) {
      // Waiting for what is there already would cost as much as reading it.
      const reading = this.batch(bytes, position)
      if (reading !== undefined) await reading
      next = batches.lastOffset(bytes, position) + 1
    }
    return next
  }

  /** A promise only for a codec that is asynchronous. */
  private batch(bytes: Buffer, position: number): Promise<void> | undefined {
    const offset = batches.baseOffset(bytes, position)
    try {
      const decoded = decodeBatch(bytes, position, MAX_DECOMPRESSED_BYTES)
      if (!(decoded instanceof Promise)) return void this.records(bytes, position, decoded)
      return decoded.then(
        records => this.records(bytes, position, records),
        error => this.fault(offset, error),
      )
    } catch (error) {
      this.fault(offset, error)
      return undefined
    }
  }

  private records(bytes: Buffer, position: number, records: readonly DecodedRecord[]): void {
    const producerId = batches.producerId(bytes, position)
    if (batches.isControl(bytes, position)) return this.endTransaction(producerId, records)
    const isOpen = batches.isTransactional(bytes, position)
    for (const record of records) this.record(record, isOpen ? producerId : null)
  }

  private record({ key, value, offset }: DecodedRecord, producerId: number | null): void {
    this.summary.records++
    if (key === null) return
    try {
      const record = decodeOffsetsRecord(key, value)
      if (record === null) return
      if (producerId === null) this.apply(record)
      else {
        const open = this.transactions.get(producerId)
        if (open === undefined) this.transactions.set(producerId, [record])
        else open.push(record)
      }
    } catch (error) {
      this.fault(offset, error)
    }
  }

  private endTransaction(producerId: number, [marker]: readonly DecodedRecord[]): void {
    const open = this.transactions.get(producerId) ?? []
    this.transactions.delete(producerId)
    const key = marker?.key ?? null
    if (key === null || key.length < 4 || key.readInt16BE(2) !== COMMIT_MARKER) return
    for (const record of open) this.apply(record)
  }

  fault(offset: number, error: unknown): void {
    this.summary.unreadable++
    this.summary.firstFault ??= `${this.partition} at offset ${offset}: ${String(error)}`
  }
}
