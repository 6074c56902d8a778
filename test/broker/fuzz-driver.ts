/**
 * Drives mutated frames into the connection code, without a socket, while a well-behaved client on another connection
 * writes and reads; and checks what must hold whatever was sent:
 *
 * - the broker stays up, and each frame is answered or ends its connection;
 * - the memory budget is exceeded by at most one request, and nothing of it is left in the end;
 * - nothing fails unexpectedly: no line at level error is logged;
 * - the well-behaved client gets every record that it wrote, in order, and no error.
 */
import assert from 'node:assert/strict'
import type { Broker } from '../../broker/broker.ts'
import { seededRandom } from '../tiers.ts'
import { batchOf, fetchOne, produceOne, valuesOf } from './batches.ts'
import { idle } from './fake-network.ts'
import { corpus, FUZZ_TOPICS, mutate, type Random } from './fuzz-frames.ts'
import type { LogLine } from './harness.ts'
import { type FakeClient, type Host, startHost } from './host.ts'

export const GOOD_TOPIC = 'of-the-well-behaved-client'
const MAX_REQUEST_BYTES = 1_000_000
const BUDGET_BYTES = 2_000_000
/** Requests that are held are in memory already and never wait: one for each connection, none of them large here. */
const MAX_HELD_BYTES = 100_000

/** Limits small enough to be met, and what keeps a round short. */
export const OVERRIDES = [
  `queued.max.request.bytes=${BUDGET_BYTES}`,
  `socket.request.max.bytes=${MAX_REQUEST_BYTES}`,
  'max.incremental.fetch.session.cache.slots=20',
]

/** The settings that brokers' defaults, which mutated requests may change, must not reach. */
export const GOOD_CONFIGS = {
  'max.message.bytes': '1000000',
  'compression.type': 'producer',
  'cleanup.policy': 'delete',
  'min.insync.replicas': '1',
  'message.timestamp.type': 'CreateTime',
  'message.timestamp.before.max.ms': '9223372036854775807',
  'message.timestamp.after.max.ms': '9223372036854775807',
  'segment.bytes': '1048576',
}

type Call = FakeClient['call']

/** Writes a record and reads it back, again and again. */
export class GoodClient {
  private readonly call: Call
  /** An empty answer is no error where others have used up the budget; called before the next try. */
  private readonly onEmpty: () => Promise<void>
  private next = 0

  constructor(call: Call, onEmpty: () => Promise<void>) {
    this.call = call
    this.onEmpty = onEmpty
  }

  async turn(): Promise<void> {
    const value = `record ${this.next}`
    const request = produceOne(GOOD_TOPIC, 0, await batchOf([value]), -1)
    const produced = await this.call('Produce', 9, request)
    const { errorCode, baseOffset } = produced.responses[0]!.partitionResponses[0]!
    assert.deepEqual({ errorCode, baseOffset }, { errorCode: 0, baseOffset: this.next })
    assert.deepEqual(await this.read(), [value])
    this.next++
  }

  private async read(): Promise<string[]> {
    for (let attempt = 0; attempt < 100; attempt++) {
      const fetched = await this.call('Fetch', 12, fetchOne(GOOD_TOPIC, 0, this.next))
      const partition = fetched.responses[0]!.partitions[0]!
      assert.equal(partition.errorCode, 0)
      const values = await valuesOf(partition.records)
      if (values.length > 0) return values
      await this.onEmpty()
    }
    assert.fail('the records are not there')
  }
}

export interface Totals {
  frames: number
  answers: number
  /** Connections that the broker ended. */
  ended: number
  /** Connections that we ended because they waited for too long. */
  given: number
  maxBudget: number
}

/** Connections that send mutated frames, in turns. */
export const FUZZERS = 16
/** A fresh broker after so many: what requests may do for good (topics, settings) stays bounded. */
const ROUND_FRAMES = 10_000

/** Round `n` of a run depends on nothing but the seed and its number: `from` begins with a later one. */
export async function driveFrames(seed: number, count: number, from = 0): Promise<Totals> {
  const totals: Totals = { frames: 0, answers: 0, ended: 0, given: 0, maxBudget: 0 }
  let frames: readonly Buffer[] | null = null
  for (let round = from; totals.frames < count; round++) {
    // Brokers of one seed give their topics the same ids, so that one corpus fits all of them.
    const host = await startHost({ overrides: OVERRIDES, seed })
    const topicIds: string[] = []
    for (const topic of FUZZ_TOPICS) topicIds.push(await host.createTopic(topic))
    await host.createTopic(GOOD_TOPIC, 1, GOOD_CONFIGS)
    frames ??= await corpus(seed, topicIds)
    const size = Math.min(ROUND_FRAMES, count - totals.frames)
    await driveRound(host, frames, seed + round, size, totals)
  }
  return totals
}

async function driveRound(
  host: Host,
  frames: readonly Buffer[],
  seed: number,
  count: number,
  totals: Totals,
): Promise<void> {
  // Of its own, so that the frames of a seed are the same whatever the broker's threads do in between.
  const ofFrames = seededRandom(seed)
  const random = seededRandom(~seed)
  const peak = watchBudget(host.broker)
  const wellBehaved = host.connect()
  const good = new GoodClient(wellBehaved.call.bind(wellBehaved), async () => {
    assert.equal(host.broker.budget.available, 0)
    await host.io.advance(1000)
  })
  const fuzzers = Array.from({ length: FUZZERS }, () => host.connect())
  try {
    for (let sent = 0; sent < count; sent++) {
      const i = sent % FUZZERS
      if (mustReplace(fuzzers[i]!, random, totals)) fuzzers[i] = host.connect()
      const pieceBytes = random() < 0.1 ? 1 + Math.floor(random() * 40) : Number.POSITIVE_INFINITY
      fuzzers[i]!.socket.deliver(mutate(ofFrames, frames), pieceBytes)
      totals.frames++
      if (i !== FUZZERS - 1) continue
      await idle()
      if (random() < 0.2) await host.io.advance(30)
      if (random() < 0.1) await good.turn()
      assert.deepEqual(takeErrors(host.logger), [])
    }
    await good.turn()
    for (const client of fuzzers) client.socket.destroy()
    await idle()
    assert.equal(host.server.connectionCount, 1)
    await settles(() => host.broker.budget.used === 0, 'bytes are left in the memory budget')
    // A batch whose codec is asynchronous may have been appended just now.
    await settles(() => waiting(host) === 0, 'requests of closed connections still wait')
    totals.maxBudget = Math.max(totals.maxBudget, peak.used)
    checkPeak(peak.used)
  } catch (error) {
    throw new Error(`round of seed ${seed}: ${String(error)}`, { cause: error })
  } finally {
    await host.stop()
  }
}

/** The lines at level error since the last look; all lines are forgotten, or a long run would keep millions. */
export function takeErrors(logger: { readonly lines: readonly LogLine[] }): readonly LogLine[] {
  return (logger.lines as LogLine[]).splice(0).filter(({ level }) => level === 'error')
}

function waiting({ broker }: Host): number {
  let count = 0
  for (const { highWatermark, logEnd } of broker.replicas.all()) {
    count += highWatermark.waiting + logEnd.waiting
  }
  return count
}

async function settles(isTrue: () => boolean, otherwise: string): Promise<void> {
  // Codecs that work in other threads need real time.
  for (let i = 0; i < 1000 && !isTrue(); i++) await idle()
  assert.ok(isTrue(), otherwise)
}

/** Whether the broker has ended the connection, or it waits for something, or its time has come by chance. */
function mustReplace({ socket, answered }: FakeClient, random: Random, totals: Totals): boolean {
  const isStuck = socket.unreadBytes > 4096 || random() < 0.01
  if (!socket.isDestroyed && !isStuck) return false
  if (socket.isDestroyed) totals.ended++
  else totals.given++
  totals.answers += answered.length
  if (random() < 0.5) socket.peerEnds()
  socket.destroy()
  return true
}

/** The budget may be exceeded by one request. */
export function checkPeak(used: number): void {
  assert.ok(used <= BUDGET_BYTES + MAX_REQUEST_BYTES + MAX_HELD_BYTES, `${used} bytes at a time`)
}

/** The most bytes that were charged at a time. */
export function watchBudget({ budget }: Broker): { used: number } {
  const peak = { used: 0 }
  const note = () => {
    peak.used = Math.max(peak.used, budget.used)
  }
  const [take, tryTake] = [budget.take.bind(budget), budget.tryTake.bind(budget)]
  budget.take = bytes => {
    take(bytes)
    note()
  }
  budget.tryTake = bytes => {
    const took = tryTake(bytes)
    note()
    return took
  }
  return peak
}
