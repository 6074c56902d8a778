/** What the pieces of `ottla bench micro` work on: a batch of 150 records of 100 bytes, about 16 KB. */
import { encodeBatch, type RecordInput } from '../protocol/records.ts'

/** Does a piece `times` times. */
export type Piece = (times: number) => void

export const NOW_MS = 1_700_000_000_000

export const RECORDS: readonly RecordInput[] = Array.from({ length: 150 }, (_, i) => ({
  timestamp: NOW_MS + i,
  key: null,
  value: Buffer.alloc(100, 33 + (i % 90)),
}))

export const BATCH = encodeBatch(RECORDS) as Buffer
