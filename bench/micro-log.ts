/** The store's pieces for `ottla bench micro`: a log in memory, so that no disk is measured. */
import { BufferPool } from '../protocol/buffer-pool.ts'
import { defaultLogConfig } from '../segment-store/config.ts'
import { Log } from '../segment-store/log.ts'
import { MemoryDisk } from '../segment-store/memory-disk.ts'
import { Staging } from '../segment-store/staging.ts'
import { BATCH, type Piece } from './micro-batch.ts'

const READ_BYTES = 65_536
const STORED = 64

async function openLog(): Promise<{ log: Log; endTurn(): void }> {
  const due: (() => void)[] = []
  const disk = new MemoryDisk()
  const directory = '/bench/bench-0'
  await disk.makeDirectory(directory)
  const log = await Log.open({
    directory,
    disk,
    config: defaultLogConfig,
    turn: { write: callback => due.push(callback), answer: () => {} },
    buffers: new BufferPool(1024 * 1024),
    staging: new Staging(),
    producerIdExpirationMs: 86_400_000,
    nowMs: Date.now(),
    wasCleanShutdown: true,
    recoveryPoint: 0,
    logStartOffset: 0,
    on: {
      written: () => {},
      failed: error => {
        throw error
      },
    },
  })
  const endTurn = () => {
    for (const callback of due.splice(0)) callback()
  }
  return { log, endTurn }
}

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
