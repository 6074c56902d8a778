/**
 * The long loops of this folder in threads of their own. `node:test` watches every promise that its own thread makes, which
 * costs such a loop as much again as what it does; and most machines have more than one core.
 */
import { availableParallelism } from 'node:os'
import { inspect } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { cutPower } from './every-byte.ts'
import { live } from './lives.ts'
import { Recording } from './recording.ts'

export type Work =
  | { readonly kind: 'lives'; readonly first: number; readonly step: number; readonly end: number }
  | {
      readonly kind: 'cuts'
      readonly first: number
      readonly stride: number
      readonly seed: number
    }

const MAX_THREADS = 2

/** Does one share of some work in each thread, and answers what each counted. Rejects with the first failure. */
export async function inThreads(
  share: (thread: number, threads: number) => Work,
): Promise<readonly number[]> {
  const threads = Math.min(MAX_THREADS, availableParallelism())
  const workers = Array.from({ length: threads }, (_, thread) => {
    return new Worker(new URL(import.meta.url), { workerData: share(thread, threads) })
  })
  try {
    return await Promise.all(workers.map(resultOf))
  } finally {
    for (const worker of workers) await worker.terminate()
  }
}

function resultOf(worker: Worker): Promise<number> {
  return new Promise((resolve, reject) => {
    worker.on('message', ({ count, failure }: { count: number; failure: string | null }) => {
      if (failure === null) resolve(count)
      else reject(new Error(failure))
    })
    worker.on('error', reject)
  })
}

async function run(work: Work): Promise<number> {
  if (work.kind === 'cuts') return await cutPower(await new Recording().make(), work)
  let count = 0
  for (let seed = work.first; seed < work.end; seed += work.step, count++) await live(seed)
  return count
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort
  run(workerData as Work).then(
    count => port.postMessage({ count, failure: null }),
    error => port.postMessage({ count: 0, failure: inspect(error, { depth: 5 }) }),
  )
}
