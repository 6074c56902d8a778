/**
 * Two to five of Kafka's verifiable consumers in one group, killed and restarted at random while records are written, with
 * each way of dividing partitions: what they say of themselves has no fault (consumer-stories.ts has the rules).
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { chooseSeed, seededRandom, tier } from '../tiers.ts'
import { faultsOf, unread } from './consumer-stories.ts'
import { GroupTopic, groupTimes } from './group-topic.ts'
import { missing, pause, type Server, startOttla, until } from './harness.ts'
import { VerifiableConsumer } from './verifiable-consumer.ts'

const PARTITIONS = 6
const [FEWEST, MOST] = [2, 5]
/** A member that lives is never late by so much, however busy the machine. */
const SESSION_MS = '10000'
const START_MS = 300_000

/** What a consumer said last, for the failure of a test. */
function lastWords({ name, events, killedMs }: VerifiableConsumer): string {
  const end = killedMs === null ? '' : `, killed at ${killedMs}`
  return `${name}${end}: ${events
    .slice(-3)
    .map(event => JSON.stringify(event))
    .join(' ')}`
}

let server: Server

before(async () => {
  server = await startOttla({ overrides: groupTimes(SESSION_MS) })
})

after(async () => {
  await server.stop()
})

const COOPERATIVE = 'org.apache.kafka.clients.consumer.CooperativeStickyAssignor'
const WAYS = {
  'classic, range': { protocol: 'classic' },
  'classic, cooperative-sticky': {
    protocol: 'classic',
    more: ['--assignment-strategy', COOPERATIVE],
  },
  consumer: { protocol: 'consumer' },
  // The group changes over between the protocols whenever the last consumer of the one goes, or the first of it comes.
  'both protocols': { protocol: 'both', more: ['--assignment-strategy', COOPERATIVE] },
} as const

for (const [way, options] of Object.entries(WAYS)) {
  test(`verifiable consumers killed at random lose nothing and share nothing: ${way}`, {
    skip: missing('kafka'),
  }, async t => {
    const seed = chooseSeed()
    t.diagnostic(`seed ${seed}, ${tier.kills} deaths`)
    const random = seededRandom(seed)
    const topic = way.replace(', ', '-').replace(' ', '-')
    const written = await GroupTopic.start(server.bootstrap, topic, PARTITIONS)
    const all: VerifiableConsumer[] = []
    const alive: VerifiableConsumer[] = []
    const start = () => {
      const { bootstrap } = server
      const alternating = all.length % 2 === 0 ? 'classic' : 'consumer'
      const protocol = options.protocol === 'both' ? alternating : options.protocol
      const more = protocol === 'classic' && 'more' in options ? options.more : []
      const group = `of-${topic}`
      const consumer = new VerifiableConsumer({ bootstrap, topic, group, protocol, more })
      all.push(consumer)
      alive.push(consumer)
    }
    /** How long a JVM takes to start on a busy machine says nothing of the group. */
    const whenStarted = async (isDone: () => boolean, what: string) => {
      const haveStarted = () => alive.every(consumer => consumer.has('startup_complete'))
      await until(haveStarted, 'all have started', { timeoutMs: START_MS })
      await until(isDone, what, { more: () => all.map(lastWords).join('\n') })
    }
    const isRead = (upTo: readonly number[]) => () => unread(all, upTo).length === 0
    try {
      for (let i = 0; i < FEWEST; i++) start()
      for (let deaths = 0; deaths < tier.kills; ) {
        // Mostly when the group is at work again, sometimes in the middle of a rebalance.
        if (random() < 0.7)
          await whenStarted(isRead(await written.ends()), 'what is written is read')
        await pause(random() * 1500)
        if (alive.length === FEWEST || (alive.length < MOST && random() < 0.5)) start()
        else {
          deaths++
          const [victim] = alive.splice(Math.floor(random() * alive.length), 1)
          await victim!.end(random() < 0.7 ? 'SIGKILL' : 'SIGTERM')
        }
      }
      await written.settle()
      const upTo = await written.ends()
      await whenStarted(isRead(upTo), 'all is read')
      await whenStarted(() => {
        const held = alive.map(consumer => consumer.held)
        return held.every(count => count > 0) && held.reduce((a, b) => a + b) === PARTITIONS
      }, 'all partitions are shared by all who live')
      while (alive.length > 0) await alive.pop()!.end('SIGTERM')
      assert.deepEqual(faultsOf(all, upTo), [])
      const records = upTo.reduce((sum, end) => sum + end)
      t.diagnostic(`${all.length} consumers, ${records} records`)
    } finally {
      await written.settle()
      for (const consumer of all) await consumer.end('SIGKILL')
      await written.close()
    }
  })
}
