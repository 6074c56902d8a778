/**
 * The same frames as fuzz-driver.ts, over TCP to a broker in this process: what the sockets of the system add. The
 * checks are the same; time is real, so connections that wait for long are given up instead of waited for.
 */
import assert from 'node:assert/strict'
import { loadConfig } from '../../broker/config.ts'
import { RunningBroker } from '../../broker/running.ts'
import { systemIo } from '../../protocol/system-io.ts'
import { MemoryDisk } from '../../segment-store/memory-disk.ts'
import { seededRandom } from '../tiers.ts'
import {
  checkPeak,
  FUZZERS,
  GOOD_CONFIGS,
  GOOD_TOPIC,
  GoodClient,
  OVERRIDES,
  takeErrors,
  watchBudget,
} from './fuzz-driver.ts'
import { corpus, FUZZ_TOPICS, mutate, type Random } from './fuzz-frames.ts'
import { recordingLogger } from './harness.ts'
import { RawClient } from './raw-client.ts'

/** A fresh broker after so many, for what requests may do for good. */
const ROUND_FRAMES = 10_000
/** A connection whose bytes the broker leaves unread is given up. */
const STUCK_BYTES = 64 * 1024

export interface TcpTotals {
  frames: number
  answers: number
  connections: number
  maxBudget: number
}

export async function fuzzOverTcp(seed: number, count: number): Promise<TcpTotals> {
  const totals: TcpTotals = { frames: 0, answers: 0, connections: 0, maxBudget: 0 }
  for (let round = 0; totals.frames < count; round++) {
    await fuzzRound(seed + round, Math.min(ROUND_FRAMES, count - totals.frames), totals)
  }
  return totals
}

async function fuzzRound(seed: number, count: number, totals: TcpTotals): Promise<void> {
  const logger = recordingLogger()
  const running = await RunningBroker.start({
    config: loadConfig({
      overrides: ['listeners=PLAINTEXT://127.0.0.1:0', 'metrics.listener=', ...OVERRIDES],
      flags: { dataDir: '/ottla' },
    }),
    io: systemIo(),
    disk: new MemoryDisk(),
    logger,
  })
  const { port } = running.server.addresses[0]!
  const { budget } = running.broker
  const peak = watchBudget(running.broker)
  const wellBehaved = await RawClient.connect(port)
  const frames = await corpus(seed, await createTopics(wellBehaved))
  const crowd = new Crowd(port, seed, frames, totals)
  const good = new GoodClient(wellBehaved.call.bind(wellBehaved), async () => {
    // Full when the Fetch was answered; it may have been given back since then.
    await crowd.leave()
    await settles(() => budget.available > 0)
  })
  try {
    for (let sent = 0; sent < count; sent += FUZZERS) {
      await crowd.send(Math.min(FUZZERS, count - sent))
      if (sent % (FUZZERS * 10) === 0) await good.turn()
      assert.deepEqual(takeErrors(logger), [])
    }
    await crowd.leave()
    await good.turn()
    await settles(() => running.server.connectionCount === 1 && budget.used === 0)
    totals.maxBudget = Math.max(totals.maxBudget, peak.used)
    checkPeak(peak.used)
    assert.deepEqual(takeErrors(logger), [])
  } catch (error) {
    throw new Error(`round of seed ${seed}: ${String(error)}`, { cause: error })
  } finally {
    await crowd.leave()
    await wellBehaved.close()
    await running.stop()
  }
}

async function createTopics(client: RawClient): Promise<string[]> {
  const topics = [...FUZZ_TOPICS, GOOD_TOPIC].map(name => ({
    name,
    numPartitions: 1,
    replicationFactor: 1,
    assignments: [],
    configs: Object.entries(name === GOOD_TOPIC ? GOOD_CONFIGS : {}).map(([key, value]) => ({
      name: key,
      value,
    })),
  }))
  const created = await client.call('CreateTopics', 7, { topics, timeoutMs: 5000 })
  return created.topics.map(({ topicId }) => topicId)
}

/** The connections that send mutated frames. */
class Crowd {
  private readonly port: number
  /** Of its own, so that the frames of a seed are the same whatever the network does in between. */
  private readonly ofFrames: Random
  private readonly random: Random
  private readonly frames: readonly Buffer[]
  private readonly totals: TcpTotals
  private members: RawClient[] = []

  constructor(port: number, seed: number, frames: readonly Buffer[], totals: TcpTotals) {
    this.port = port
    this.ofFrames = seededRandom(seed)
    this.random = seededRandom(~seed)
    this.frames = frames
    this.totals = totals
  }

  /** Each of the first `count` sends one frame, whole or in two pieces, once it is connected. */
  async send(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const member = await this.member(i)
      const frame = mutate(this.ofFrames, this.frames)
      const cut = this.random() < 0.1 ? Math.floor(this.random() * frame.length) : 0
      if (cut > 0) {
        member.send(frame.subarray(0, cut))
        await new Promise(resolve => setImmediate(resolve))
      }
      member.send(frame.subarray(cut))
      this.totals.frames++
    }
    for (let i = 0; i < 3; i++) await new Promise(resolve => setImmediate(resolve))
  }

  /** All connections end, some of them by a reset. */
  async leave(): Promise<void> {
    const left = this.members.splice(0)
    await Promise.all(left.map(member => this.end(member)))
  }

  private async member(i: number): Promise<RawClient> {
    const known = this.members[i]
    if (known !== undefined) {
      const isStuck = known.socket.writableLength > STUCK_BYTES || this.random() < 0.02
      if (!known.isClosed && !isStuck) return known
      await this.end(known)
    }
    this.totals.connections++
    this.members[i] = await RawClient.connect(this.port)
    return this.members[i]!
  }

  private async end(member: RawClient): Promise<void> {
    this.totals.answers += member.answers
    if (this.random() < 0.3) member.socket.resetAndDestroy()
    await member.close()
  }
}

/** Within the limits of the longest wait and of stalled peers, both 30 s. */
async function settles(isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + 70_000
  while (!isTrue() && performance.now() < deadline) {
    await new Promise(resolve => setImmediate(resolve))
  }
  assert.ok(isTrue(), 'connections or bytes of the memory budget are left')
}
