/**
 * The other end of cleaner-thread.ts: does one job of compaction in a thread of its own, on the real disk. It touches
 * sealed segments and `.cleaned` files only; what changes the log is asked for and done by the broker's thread.
 */
import { setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { type CleanedGroup, type CleaningJob, clean } from '../segment-store/cleaning.ts'
import { SystemDisk } from '../segment-store/system-disk.ts'
import type { FromWorker, ToWorker } from './cleaner-thread.ts'

/** Reads and writes that may be on their way to be counted before the worker waits. */
const MAX_UNCOUNTED = 16

/** Where producers keep all cores busy, compaction takes a tenth of one; where a core is idle, all of it. */
const NICENESS = 10

let uncounted = 0
let counted: (() => void) | null = null
let swapped: (() => void) | null = null

const post = (message: FromWorker): void => parentPort!.postMessage(message)

parentPort!.on('message', (message: ToWorker) => {
  if (message === 'counted') {
    uncounted -= 1
    counted?.()
    counted = null
  } else {
    swapped?.()
    swapped = null
  }
})

function pace(bytes: number): void | Promise<void> {
  post({ kind: 'bytes', bytes })
  uncounted += 1
  if (uncounted < MAX_UNCOUNTED) return
  return new Promise(resolve => {
    counted = resolve
  })
}

function finished(group: CleanedGroup): Promise<void> {
  post({ kind: 'group', group })
  return new Promise(resolve => {
    swapped = resolve
  })
}

// Linux has it for each thread, other systems for the whole process.
if (process.platform === 'linux') setPriority(NICENESS)
try {
  const result = await clean(workerData as CleaningJob, { disk: new SystemDisk(), pace, finished })
  post({ kind: 'done', result })
} catch (error) {
  const message = error instanceof Error ? error.message : String(error)
  const { code } = (error ?? {}) as { code?: unknown }
  post({ kind: 'failed', message, ...(typeof code === 'string' && { code }) })
}
parentPort!.close()
