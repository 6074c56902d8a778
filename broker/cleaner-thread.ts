/**
 * Compaction in a thread of its own, so that producers do not feel it: the thread reads sealed segments and writes
 * `.cleaned` files, the broker's thread swaps them in. Small jobs are done here; a thread would cost more.
 */
import { Worker } from 'node:worker_threads'
import { removeCleaned } from '../segment-store/cleaned-file.ts'
import {
  type CleanedGroup,
  type CleaningEnvironment,
  type CleaningJob,
  type CleaningResult,
  clean,
} from '../segment-store/cleaning.ts'
import { segmentFileName } from '../segment-store/segment.ts'

export type FromWorker =
  | { readonly kind: 'bytes'; readonly bytes: number }
  | { readonly kind: 'group'; readonly group: CleanedGroup }
  | { readonly kind: 'done'; readonly result: CleaningResult }
  /** `code`: the system's, where it is an error of the system. */
  | { readonly kind: 'failed'; readonly message: string; readonly code?: string }

export type ToWorker = 'counted' | 'swapped'

/** Below it a job is done in slices on the broker's own thread. */
const LEAST_THREAD_BYTES = 8 * 1024 * 1024

/** A `CleaningEngine` for the real disk. */
export async function cleanInThread(
  job: CleaningJob,
  env: CleaningEnvironment,
): Promise<CleaningResult> {
  const bytes = job.segments.reduce((sum, { size }) => sum + size, 0)
  if (bytes < LEAST_THREAD_BYTES) return await clean(job, env)
  const worker = new Worker(new URL('./cleaner-worker.js', import.meta.url), { workerData: job })
  try {
    return await conversation(worker, env)
  } catch (error) {
    await worker.terminate()
    for (const { baseOffset } of job.segments) {
      await removeCleaned(env.disk, `${job.directory}/${segmentFileName(baseOffset, '')}`)
    }
    throw error
  }
}

function conversation(worker: Worker, env: CleaningEnvironment): Promise<CleaningResult> {
  return new Promise((resolve, reject) => {
    const reply = (message: ToWorker) => worker.postMessage(message)
    const answer = async (message: FromWorker): Promise<void> => {
      switch (message.kind) {
        case 'bytes':
          await env.pace(message.bytes)
          return reply('counted')
        case 'group':
          await env.finished(message.group)
          return reply('swapped')
        case 'done':
          return resolve(message.result)
        case 'failed':
          throw Object.assign(new Error(message.message), { code: message.code })
      }
    }
    worker.on('message', message => {
      answer(message).catch(reject)
    })
    worker.on('error', reject)
    worker.on('exit', code => {
      reject(new Error(`the compaction thread ended with code ${code} before it was done`))
    })
  })
}
