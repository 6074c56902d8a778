/** A process of the bench: producers or consumers, told by its parent what to do; ends with it. */
import { Client } from '../client/client.ts'
import { ConsumerLoad } from './consumer-load.ts'
import type { FromWorker, Job, ToWorker } from './messages.ts'
import { monotonicUs } from './monotonic.ts'
import { ProducerLoad } from './producer-load.ts'
import { Tally } from './tally.ts'

/** A parent that is gone hears nothing; this process then ends, too. */
const tell = (message: FromWorker) => {
  if (process.connected) process.send?.(message, undefined, undefined, () => {})
}

let producer: ProducerLoad | null = null
let consumer: ConsumerLoad | null = null
let tally: Tally | null = null

process.on('message', (message: ToWorker) => {
  handle(message).catch((error: Error) => tell({ type: 'failed', message: error.message }))
})
// Ctrl-C reaches every process of a terminal; the parent says what becomes of it.
process.on('SIGINT', () => {})
process.on('disconnect', () => process.exit(1))

async function handle(message: ToWorker): Promise<void> {
  switch (message.type) {
    case 'job':
      prepare(message.job)
      return tell({ type: 'ready' })
    case 'begin':
      return begin(message.atUs)
    case 'stop':
      return producer?.stop()
    case 'drain':
      return drain(consumer!)
    case 'look':
      return tell({ type: 'seen', partitions: consumer!.seen() })
    case 'finish':
      return finish(consumer!, tally!)
  }
}

const PROGRESS_EVERY_MS = 50
const LEAVE_WITHIN_MS = 2_000

function drain(consumer: ConsumerLoad): void {
  consumer.release()
  setInterval(() => {
    tell({ type: 'progress', records: consumer.progress })
  }, PROGRESS_EVERY_MS).unref()
}

function prepare(job: Job): void {
  tally = new Tally(job.phases)
  const clientId = `ottla-bench-${job.role}`
  const client = new Client({ bootstrap: job.bootstrap, clientId, logger: null })
  if (job.role === 'producer') producer = new ProducerLoad(job, client, tally)
  else consumer = new ConsumerLoad(job, client, tally)
}

/** Whatever becomes of the cluster, the result is told. */
async function finish(consumer: ConsumerLoad, tally: Tally): Promise<void> {
  const { rebalances } = consumer
  const late = new Promise(resolve => setTimeout(resolve, LEAVE_WITHIN_MS).unref())
  await Promise.race([consumer.close().catch(() => {}), late])
  tell({ type: 'done', ...tally.result(), streams: [], rebalances })
}

async function begin(atUs: number): Promise<void> {
  reportIntervals(atUs)
  consumer?.run(atUs)
  if (producer === null) return
  await producer.run(atUs)
  const streams = producer.streams()
  tell({ type: 'done', ...tally!.result(), streams, rebalances: [] })
}

/** At each whole second from the beginning. */
function reportIntervals(atUs: number): void {
  const next = () => {
    const nowUs = monotonicUs() - atUs
    const leftMs = 1000 - ((nowUs / 1000) % 1000)
    setTimeout(() => {
      tell(tally!.interval(monotonicUs() - atUs, producer?.behind ?? 0))
      next()
    }, leftMs).unref()
  }
  setTimeout(next, Math.max(0, (atUs - monotonicUs()) / 1000)).unref()
}
