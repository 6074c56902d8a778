/** The store's pieces for `ottla bench micro`: a log in memory, so that no disk is measured. */
import { MemoryDisk } from '../segment-store/memory-disk.ts'
import { openBenchLog } from './bench-log.ts'
import { BATCH, type Piece } from './micro-batch.ts'

const READ_BYTES = 65_536
const STORED = 64

const openLog = () => openBenchLog('/bench/bench-0', {}, true, new MemoryDisk())

export async function logAppends(): Promise<Piece> {
  const { log, endTurn } = await openLog()
  return times => {
    for (let i = 0; i < times; i++) {
      log.append(BATCH, Date.now(), 0, 0, Date.now())
      endTurn()
    }
  }
}

export async function logReads(): Promise<Piece> {
  const { log, endTurn } = await openLog()
  for (let i = 0; i < STORED; i++) {
    log.append(BATCH, Date.now(), 0, 0, Date.now())
    endTurn()
  }
  const upTo = log.writtenOffset
  return times => {
    for (let i = 0; i < times; i++) {
      const offset = (i * 150) % (upTo - 1000)
      const request = { offset, maxBytes: READ_BYTES, upTo, minOneBatch: true, committed: false }
      const slice = log.read(request)
      if (slice instanceof Promise) throw new Error('what was just written is in memory')
      slice.release()
    }
  }
}
