/**
 * What stays in memory of topics that were deleted: nothing, once their files are gone and their readers' sessions are old.
 *
 * Method: topics are created, written, read in a fetch session and deleted, round after round. The partitions of the first
 * rounds are watched through weak references, and the number of objects and texts on the heap must not grow by one for each
 * partition, which the least thing that something keeps of them would do.
 */
import assert from 'node:assert/strict'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { getHeapSnapshot, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { batchOf } from './batches.ts'
import { idle } from './fake-network.ts'
import { type Host, startHost } from './host.ts'

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

const TOPICS = 40
const PARTITIONS = 5
const WARM_UP = 5
const ROUNDS = 8
const MAX_HELD = 1
const COUNTED = ['object', 'closure', 'string', 'concatenated string', 'sliced string']

/** As far as it is looked at here. */
interface HeapSnapshot {
  readonly snapshot: {
    readonly meta: { readonly node_fields: string[]; readonly node_types: readonly string[][] }
  }
  readonly nodes: readonly number[]
}

const indexes = [...Array(PARTITIONS).keys()]

async function write(host: Host, names: readonly string[]): Promise<void> {
  const records = await batchOf(['x'])
  await host.connect().call('Produce', 9, {
    acks: -1,
    timeoutMs: 1000,
    topicData: names.map(name => ({
      name,
      partitionData: indexes.map(index => ({ index, records })),
    })),
  })
}

/** Opens a session and leaves it, as a client does that goes away. */
async function read(host: Host, names: readonly string[]): Promise<void> {
  const { responses, sessionId } = await host.connect().call('Fetch', 12, {
    maxWaitMs: 0,
    minBytes: 1,
    sessionId: 0,
    sessionEpoch: 0,
    topics: names.map(topic => ({
      topic,
      partitions: indexes.map(partition => ({
        partition,
        fetchOffset: 0,
        partitionMaxBytes: 1000,
      })),
    })),
  })
  assert(sessionId > 0)
  assert.equal(responses.length, TOPICS)
}

async function round(host: Host, number: number): Promise<WeakRef<object>[]> {
  const names = Array.from({ length: TOPICS }, (_, i) => `round-${number}-topic-${i}`)
  for (const name of names) await host.createTopic(name, PARTITIONS)
  await write(host, names)
  await read(host, names)
  const partitions = [...host.broker.replicas.all()]
  assert.equal(partitions.length, TOPICS * PARTITIONS)
  const watched = partitions.flatMap(one => [new WeakRef(one), new WeakRef(one.log)])
  const deleting = host.connect()
  await deleting.call('DeleteTopics', 5, { topicNames: names, timeoutMs: 1000 })
  host.disconnectAll()
  host.logger.forget()
  // The files go after a minute, sessions after two.
  await host.io.advance(180_000)
  return watched
}

/** What is on the heap when nothing more can be collected; without code, which grows as long as more is compiled. */
async function heldCount(): Promise<number> {
  for (let i = 0; i < 5; i++) {
    await idle()
    collect()
  }
  const { snapshot, nodes } = JSON.parse(await text(getHeapSnapshot())) as HeapSnapshot
  const { node_fields: fields, node_types: types } = snapshot.meta
  const typeAt = fields.indexOf('type')
  const counted = COUNTED.map(type => types[typeAt]!.indexOf(type))
  let count = 0
  for (let i = typeAt; i < nodes.length; i += fields.length) {
    if (counted.includes(nodes[i]!)) count++
  }
  return count
}

test('deleted partitions are collected, and what the heap holds does not grow from round to round', async t => {
  const host = await startHost()
  const watched: WeakRef<object>[] = []
  for (let i = 0; i < WARM_UP; i++) watched.push(...(await round(host, i)))
  const before = await heldCount()
  const alive = watched.filter(ref => ref.deref() !== undefined).length
  assert.equal(alive, 0, `${alive} of ${watched.length} partitions and logs are still there`)
  for (let i = WARM_UP; i < WARM_UP + ROUNDS; i++) await round(host, i)
  const grown = ((await heldCount()) - before) / (ROUNDS * TOPICS * PARTITIONS)
  t.diagnostic(`${grown.toFixed(2)} objects a partition`)
  assert(grown < MAX_HELD, `${grown.toFixed(2)} objects are held for each deleted partition`)
  await host.stop()
})
