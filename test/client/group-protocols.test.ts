/** What a group gives and takes, member by member: cooperative rebalances, KIP-848, and what handlers hear of it. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../broker/embedded.ts'
import { Client } from '../../client/client.ts'
import type { Consumer } from '../../client/consumer.ts'
import type { ConsumerOptions } from '../../client/consumer-config.ts'
import type { Producer } from '../../client/producer.ts'
import { string } from '../../client/serializers.ts'
import type { TopicPartition } from '../../client/topic-partition.ts'
import { numberedTopic, writeNumbers } from './numbered-topic.ts'

let broker: EmbeddedBroker
let client: Client
let producer: Producer

before(async () => {
  broker = await startBroker({
    config: {
      'group.consumer.heartbeat.interval.ms': 20,
      'group.consumer.min.heartbeat.interval.ms': 20,
      'group.consumer.session.timeout.ms': 2000,
      'group.consumer.min.session.timeout.ms': 500,
    },
  })
  client = new Client({ bootstrap: broker.bootstrap, retryBackoffMs: 5 })
  producer = client.producer()
})

after(async () => {
  await producer.close()
  await broker.stop()
})

const topic = (name: string, partitions: number, count: number) =>
  numberedTopic({ client, producer }, name, partitions, count)
const write = (name: string, partitions: number, from: number, count: number) =>
  writeNumbers(producer, name, partitions, from, count)

const KINDS: { readonly [kind: string]: ConsumerOptions<Buffer, string> } = {
  'cooperative-sticky': { assignors: ['cooperative-sticky'], heartbeatIntervalMs: 20 },
  'KIP-848': { groupProtocol: 'consumer' },
}

class Member {
  readonly events: string[] = []
  readonly consumer: Consumer<Buffer, string>
  readonly seen: string[] = []

  constructor(groupId: string, options: ConsumerOptions<Buffer, string>) {
    const note = (what: string) => (partitions: readonly TopicPartition[]) => {
      this.events.push(
        `${what} ${partitions
          .map(p => p.partition)
          .sort()
          .join(' ')}`,
      )
      changed()
    }
    this.consumer = client.consumer<Buffer, string>({
      groupId,
      autoOffsetReset: 'earliest',
      value: string,
      rebalance: { assigned: note('+'), revoked: note('-'), lost: note('!') },
      ...options,
    })
  }

  get has(): string {
    return this.consumer.assignment
      .map(p => p.partition)
      .sort()
      .join(' ')
  }

  run(): Promise<void> {
    return this.consumer.eachMessage(({ value }) => {
      this.seen.push(value!)
      changed()
    })
  }
}

let changed = () => {}
function until(condition: () => boolean): Promise<void> {
  return new Promise(resolve => {
    changed = () => {
      if (condition()) resolve()
      else setImmediate(changed)
    }
    changed()
  })
}

for (const [kind, options] of Object.entries(KINDS)) {
  test(`${kind}: a newcomer takes some partitions, the others never leave their owner`, async () => {
    const name = `incremental-${kind}`
    await topic(name, 4, 8)
    const first = new Member(name, options)
    first.consumer.subscribe(name)
    const firstRun = first.run()
    await until(() => first.seen.length === 8)
    const second = new Member(name, options)
    second.consumer.subscribe(name)
    const secondRun = second.run()
    await until(() => first.has.length === 3 && second.has.length === 3)
    const [kept, given] = [first.has, second.has]
    assert.deepEqual(`${kept} ${given}`.split(' ').sort(), ['0', '1', '2', '3'])
    const revoked = first.events.filter(event => event.startsWith('-'))
    assert.deepEqual(revoked, [`- ${given}`], 'only what goes away is given up')
    assert.ok(!first.events.some(event => event.startsWith('!')))
    await write(name, 4, 8, 8)
    await until(() => first.seen.length + second.seen.length === 16)
    await second.consumer.close()
    await until(() => first.has === '0 1 2 3')
    await write(name, 4, 16, 4)
    await until(() => first.seen.length + second.seen.length === 20)
    await first.consumer.close()
    await Promise.all([firstRun, secondRun])
    const all = [...first.seen, ...second.seen].map(Number).sort((a, b) => a - b)
    assert.deepEqual(
      all,
      Array.from({ length: 20 }, (_, i) => i),
      'each record once',
    )
  })

  test(`${kind}: topics come by pattern, also those that are created later`, async () => {
    const name = `pattern-${kind}`
    await topic(`${name}-1`, 2, 4)
    const member = new Member(`g-${name}`, options)
    member.consumer.subscribe(new RegExp(`^${name}-\\d`))
    const run = member.run()
    await until(() => member.seen.length === 4)
    if (kind === 'KIP-848') {
      await topic(`${name}-2`, 1, 2)
      await until(() => member.seen.length === 6)
    }
    await member.consumer.close()
    await run
  })

  test(`${kind}: the signal of a lost partition is given, of a kept one it is not`, async () => {
    const name = `signals-${kind}`
    await topic(name, 2, 2)
    const first = new Member(`g-${name}`, options)
    first.consumer.subscribe(name)
    const signals = new Map<number, AbortSignal>()
    let free = () => {}
    const held = new Promise<void>(resolve => {
      free = resolve
    })
    const run = first.consumer.eachMessage(
      async ({ partition }, { signal }) => {
        signals.set(partition, signal)
        await held
      },
      { concurrency: 2 },
    )
    await until(() => signals.size === 2)
    const second = new Member(`g-${name}`, options)
    second.consumer.subscribe(name)
    await until(() => first.has.length === 1 && second.has.length === 1)
    const [kept, lost] = [Number(first.has), Number(second.has)]
    assert.ok(signals.get(lost)!.aborted)
    assert.ok(!signals.get(kept)!.aborted)
    free()
    await second.consumer.close()
    await first.consumer.close()
    await run
    assert.ok(signals.get(kept)!.aborted, 'closing ends the rest')
  })
}

test('KIP-848: a static member comes back to its share; another of its name is refused', async () => {
  await topic('static', 2, 2)
  const options: ConsumerOptions<Buffer, string> = {
    groupProtocol: 'consumer',
    groupInstanceId: 'one',
  }
  const first = new Member('g-static', options)
  first.consumer.subscribe('static')
  const firstRun = first.run()
  await until(() => first.seen.length === 2)
  const rival = new Member('g-static', options)
  rival.consumer.subscribe('static')
  await assert.rejects(rival.consumer.next(), /UNRELEASED_INSTANCE_ID/)
  await rival.consumer.close()
  await first.consumer.close()
  await firstRun
  const again = new Member('g-static', options)
  again.consumer.subscribe('static')
  const run = again.run()
  await write('static', 2, 2, 2)
  await until(() => again.seen.length === 2)
  assert.deepEqual(again.seen.sort(), ['2', '3'])
  await again.consumer.close()
  await run
})

test('KIP-848: patterns that the coordinator cannot read and assignors that it has not are told', async () => {
  const odd = new Member('g-odd', { groupProtocol: 'consumer' })
  odd.consumer.subscribe(/(?=x)/)
  await assert.rejects(odd.consumer.next(), /INVALID_REGULAR_EXPRESSION/)
  await odd.consumer.close()
  const other = new Member('g-other', { groupProtocol: 'consumer', serverAssignor: 'none' })
  other.consumer.subscribe('t')
  await assert.rejects(other.consumer.next(), /UNSUPPORTED_ASSIGNOR/)
  await other.consumer.close()
  assert.throws(
    () => client.consumer({ groupId: 'g', groupProtocol: 'consumer', assignors: ['range'] }),
    /assignors with groupProtocol consumer/,
  )
})
