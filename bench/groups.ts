/**
 * What consumer groups cost a broker, and how long their members wait:
 *
 *   heartbeats   1,000 groups of 10 members, each on a connection of its own, a heartbeat every 3 s (as clients do by
 *                default) and, for the consumer protocol, every 5 s: share of a core
 *   commits      one offset committed beside one record of 100 bytes produced, on the same connections: CPU of each
 *   load         100,000 committed offsets, loaded at start
 *   rebalance    100 members of a classic group: from the last JoinGroup to the last SyncGroup's answer
 *   restart      from a consumer's JoinGroup to its first record, after a clean close and after its death
 *
 *   node dist/bench/groups.js [name of a part]...
 *
 * Each part has a broker of its own, in a process of its own. On a busy machine only ratios mean something.
 */
import { median } from './bench-log.ts'
import { BenchBroker, type Member, openMany, rounded } from './group-bench.ts'

const GROUPS = 1000
const MEMBERS = 10
const MEASURED_SECONDS = 15

/** Calls `beat` for each of `count` things once every `intervalMs`, evenly, for so many seconds; how often it did. */
async function evenly(
  count: number,
  intervalMs: number,
  seconds: number,
  beat: (i: number) => void,
): Promise<number> {
  const startMs = performance.now()
  let done = 0
  for (;;) {
    const elapsedMs = performance.now() - startMs
    if (elapsedMs > seconds * 1000) return done
    const due = Math.floor((elapsedMs / intervalMs) * count)
    while (done < due) beat(done++ % count)
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}

async function heartbeats(): Promise<void> {
  for (const protocol of ['classic', 'consumer'] as const) {
    // So that a group is settled when its members have said so, and epochs stay as they are.
    const broker = await BenchBroker.start({ 'group.consumer.assignment.interval.ms': '0' })
    try {
      await broker.createTopic('beats', 10)
      const connections = await openMany(broker, GROUPS * MEMBERS)
      const members: Member[] = []
      for (let g = 0; g < GROUPS; g++) {
        const own = connections.slice(g * MEMBERS, (g + 1) * MEMBERS)
        members.push(...(await broker.formGroup(`group-${g}`, own, protocol, 'beats')))
      }
      const intervalMs = protocol === 'classic' ? 3000 : 5000
      const run = (seconds: number) =>
        evenly(members.length, intervalMs, seconds, i => members[i]!.heartbeat())
      await run(5)
      const before = broker.cpu()
      const beats = await run(MEASURED_SECONDS)
      const after = broker.cpu()
      const [user, system] = [after.user - before.user, after.system - before.system]
      const cpu = user + system
      const failed = members.filter(member => member.failure !== null)
      if (failed.length > 0) throw new Error(`heartbeats failed: ${failed[0]!.failure}`)
      const share = ((cpu / MEASURED_SECONDS) * 100).toFixed(1)
      const [each, kernel] = [cpu, system].map(seconds => ((seconds / beats) * 1e6).toFixed(1))
      console.log(
        `heartbeats, ${protocol}: ${members.length} members, ${rounded(beats / MEASURED_SECONDS)} a second, ${share} % of a core, ${each} µs each, ${kernel} of them in the kernel (goal 10 %)`,
      )
      for (const connection of connections) connection.close()
    } finally {
      await broker.stop()
    }
  }
}

/**
 * One request after another on each of some connections: CPU of the broker for each, in µs. Each connection has a partition
 * and a group of its own, as a consumer and a producer would, so what is written in one turn goes to as many files.
 */
async function commits(): Promise<void> {
  for (const count of [1, 50]) {
    const broker = await BenchBroker.start()
    try {
      await broker.createTopic('done', count)
      const connections = await openMany(broker, count)
      const members: Member[] = []
      for (const [i, connection] of connections.entries()) {
        members.push(...(await broker.formGroup(`committer-${i}`, [connection], 'classic', 'done')))
      }
      const each = 20_000 / count
      const measure = async (act: (member: Member, partition: number) => Promise<void>) => {
        const before = broker.cpuSeconds()
        await Promise.all(
          members.map(async (member, m) => {
            for (let i = 0; i < each; i++) await act(member, m)
          }),
        )
        return ((broker.cpuSeconds() - before) / (count * each)) * 1e6
      }
      const costs = { commit: [] as number[], produce: [] as number[], ratio: [] as number[] }
      for (let round = 0; round < 9; round++) {
        const produce = await measure((member, partition) => member.produce('done', partition))
        const commit = await measure((member, partition) => member.commit('done', partition, round))
        if (round < 2) continue
        costs.produce.push(produce)
        costs.commit.push(commit)
        costs.ratio.push(commit / produce)
      }
      const [commit, produce] = [median(costs.commit).toFixed(1), median(costs.produce).toFixed(1)]
      const ratio = median(costs.ratio).toFixed(2)
      console.log(
        `commits on ${count} connections: ${commit} µs, a produce of one record ${produce} µs, ratio ${ratio} (goal 1.5)`,
      )
      for (const connection of connections) connection.close()
    } finally {
      await broker.stop()
    }
  }
}

async function load(): Promise<void> {
  for (const [groups, perCommit] of [
    [1000, 100],
    [1000, 1],
    [10, 1],
  ] as const) {
    let broker = await BenchBroker.start()
    try {
      await broker.createTopic('loaded', 100)
      const offsets = 100_000
      const partitions = 100
      const connections = await openMany(broker, 20)
      const requests = offsets / perCommit
      await Promise.all(
        connections.map(async (connection, c) => {
          for (let i = c; i < requests; i += connections.length) {
            const first = (Math.floor(i / groups) * perCommit) % partitions
            const indexes = Array.from({ length: perCommit }, (_, k) => (first + k) % partitions)
            await broker.commitWithoutMember(connection, `g-${i % groups}`, 'loaded', indexes, i)
          }
        }),
      )
      for (const connection of connections) connection.close()
      broker = await broker.restart()
      const { tookMs, records } = broker.loaded()
      console.log(
        `load: ${rounded(records)} records, ${perCommit} a batch, of ${groups} groups: ${tookMs} ms (goal 1,000 for 100,000)`,
      )
    } finally {
      await broker.stop()
    }
  }
}

async function rebalance(): Promise<void> {
  const broker = await BenchBroker.start()
  try {
    await broker.createTopic('shared', 100)
    const connections = await openMany(broker, 100)
    const took: number[] = []
    const trips: number[] = []
    for (let round = 0; round < 12; round++) {
      const startMs = performance.now()
      await broker.ping(connections[0]!)
      trips.push(performance.now() - startMs)
      const ms = await broker.rebalanceMs(`crowd-${round}`, connections, 'shared')
      if (round >= 2) took.push(ms)
    }
    const worst = Math.max(...took).toFixed(1)
    console.log(
      `rebalance: 100 members, last JoinGroup to last SyncGroup: median ${median(took).toFixed(1)} ms, worst ${worst} ms; a round trip ${median(trips).toFixed(1)} ms (goal 50 ms and two round trips)`,
    )
    for (const connection of connections) connection.close()
  } finally {
    await broker.stop()
  }
}

async function restart(): Promise<void> {
  const broker = await BenchBroker.start({ 'group.drop.on.disconnect.ms': '1000' })
  try {
    await broker.createTopic('read', 4)
    const [writer] = await openMany(broker, 1)
    for (let i = 0; i < 40; i++) await broker.produce(writer!, 'read', i % 4)
    for (const way of ['after a clean close', 'after its death'] as const) {
      const took: number[] = []
      for (let round = 0; round < 7; round++) {
        const group = `reader-${way}-${round}`
        const [first] = await openMany(broker, 1)
        const before = await broker.joinAndRead(first!, group, 'read')
        if (way === 'after a clean close') await before.member.leave()
        first!.close()
        const [second] = await openMany(broker, 1)
        took.push((await broker.joinAndRead(second!, group, 'read')).ms)
        second!.close()
      }
      const goal =
        way === 'after a clean close' ? '300 ms' : '3,000 ms, group.drop.on.disconnect.ms=1000'
      const worst = Math.max(...took).toFixed(0)
      console.log(
        `restart ${way}: JoinGroup to the first record: median ${median(took).toFixed(0)} ms, worst ${worst} ms (goal ${goal})`,
      )
    }
    writer!.close()
  } finally {
    await broker.stop()
  }
}

const PARTS = { heartbeats, commits, load, rebalance, restart }
const chosen = process.argv.slice(2)
for (const [name, part] of Object.entries(PARTS)) {
  if (chosen.length === 0 || chosen.includes(name)) await part()
}
