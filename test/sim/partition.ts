/**
 * One partition of a simulated life, and the batches that are written to it: of one to five records, in any codec that is
 * synchronous, half of them from one of two producers. The records of one partition have keys, and some no value.
 */
import { encodeBatch, type RecordInput } from '../../protocol/records.ts'
import type { LogConfig } from '../../segment-store/config.ts'
import type { Log } from '../../segment-store/log.ts'
import { LogModel } from './log-model.ts'

/** The partition whose records have keys. */
export const KEYED = 1
const KEYS = 8
/** Of eight batches one each. */
const CODECS = ['gzip', 'snappy', 'lz4'] as const

/** One partition as the run knows it. */
export class Partition {
  readonly number: number
  topicId: string
  model = new LogModel()
  /** Of the log that a deletion under way may leave or not. */
  deleted: { readonly topicId: string; readonly model: LogModel } | null = null
  log!: Log
  settings: LogConfig
  leaderEpoch = 0
  failures: Error[] = []

  constructor(number: number, topicId: string, settings: LogConfig) {
    this.number = number
    this.topicId = topicId
    this.settings = settings
  }

  /** Its records have keys. */
  get isKeyed(): boolean {
    return this.number === KEYED
  }

  toString(): string {
    return `orders-${this.number}`
  }
}

export interface NewBatch {
  readonly records: readonly RecordInput[]
  readonly bytes: Buffer
}

export function newBatch(partition: Partition, nowMs: number, random: () => number): NewBatch {
  const below = (limit: number) => Math.floor(random() * limit)
  const records = Array.from({ length: 1 + below(5) }, (): RecordInput => {
    const timestamp = nowMs + below(50) - 10
    const value = Buffer.alloc(below(120), 'v')
    if (!partition.isKeyed) return { timestamp, key: null, value }
    const key = Buffer.from(`k${below(KEYS)}`)
    return { timestamp, key, value: below(5) === 0 ? null : value }
  })
  const codec = CODECS[below(8)] ?? 'none'
  const bytes = encodeBatch(records, codec, producerOf(partition.model, below)) as Buffer
  return { records, bytes }
}

/** Who continues what the model knows of him, or begins a new epoch; or nobody. */
function producerOf(model: LogModel, below: (limit: number) => number): object {
  const producerId = 1 + below(4)
  if (producerId > 2) return {}
  const known = model.producers().get(producerId)
  if (known === undefined) return { producerId, producerEpoch: 0, baseSequence: 0 }
  if (below(10) === 0) return { producerId, producerEpoch: known.epoch + 1, baseSequence: 0 }
  return { producerId, producerEpoch: known.epoch, baseSequence: known.lastSequence + 1 }
}
