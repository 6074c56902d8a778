/**
 * A member of a group as a program of its own, made of somebody else's client for Node. It says on lines of JSON what it
 * does, in the words of Kafka's verifiable consumer, and also when it pauses and goes on. SIGTERM: it commits and leaves.
 *
 *   node foreign-member.js kafkajs|platformatic|confluent WHERE BOOTSTRAP TOPIC GROUP classic|consumer
 *
 * WHERE is the entry file of the client.
 */
import { pathToFileURL } from 'node:url'

const [client, where, bootstrap, topic, groupId, protocol] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
]
const SESSION_MS = 10_000
const HEARTBEAT_MS = 500
/** After so many records it pauses for a while. */
const PAUSE_EVERY = 300
const PAUSE_MS = 300

function say(name: string, more: object = {}): void {
  process.stdout.write(`${JSON.stringify({ timestamp: Date.now(), name, ...more })}\n`)
}

const read = (partition: number, minOffset: number, maxOffset: number): void =>
  say('records_consumed', { partitions: [{ partition, minOffset, maxOffset }] })

const committed = (offsets: ReadonlyMap<number, number>): void =>
  say('offsets_committed', {
    success: true,
    offsets: [...offsets].map(([partition, offset]) => ({ partition, offset })),
  })

// What of the clients' interfaces is used here.

interface PlatformaticMessage {
  readonly partition: number
  readonly offset: bigint
  commit(): Promise<void>
}

interface PlatformaticStream {
  on(event: 'data', listener: (message: PlatformaticMessage) => void): void
  on(event: 'error', listener: (error: Error) => void): void
  pause(): void
  resume(): void
}

interface PlatformaticConsumer {
  on(event: string, listener: () => void): void
  consume(options: object): Promise<PlatformaticStream>
  close(force: boolean): Promise<void>
}

interface KafkajsBatch {
  readonly partition: number
  readonly firstOffset: () => string | null
  readonly lastOffset: () => string
  readonly messages: readonly { readonly offset: string }[]
}

interface KafkajsConsumer {
  connect(): Promise<void>
  disconnect(): Promise<void>
  subscribe(options: object): Promise<void>
  run(options: {
    readonly eachBatch: (payload: { readonly batch: KafkajsBatch }) => Promise<void>
    readonly [setting: string]: unknown
  }): Promise<void>
  commitOffsets(offsets: readonly object[]): Promise<void>
  pause(topics: readonly object[]): void
  resume(topics: readonly object[]): void
  readonly events?: { readonly GROUP_JOIN: string }
  on?(event: string, listener: () => void): void
}

async function platformatic(): Promise<() => Promise<void>> {
  const { Consumer } = await import(pathToFileURL(where).href)
  const classic = { sessionTimeout: SESSION_MS, heartbeatInterval: HEARTBEAT_MS }
  const kind = protocol === 'consumer' ? { groupProtocol: 'consumer' } : classic
  const consumer: PlatformaticConsumer = new Consumer({
    ...{ clientId: 'platformatic', groupId, bootstrapBrokers: [bootstrap], autocommit: false },
    ...{ maxWaitTime: 200, rebalanceTimeout: 60_000, metadataMaxAge: 1000, ...kind },
  })
  consumer.on('consumer:group:join', () => say('joined'))
  const places = { mode: 'committed', fallbackMode: 'earliest' }
  const kindHere = protocol === 'consumer' ? {} : classic
  const stream = await consumer.consume({ topics: [topic], ...places, ...kindHere })
  const last = new Map<number, PlatformaticMessage>()
  let count = 0
  stream.on('error', error => say('failed', { error: String(error.stack) }))
  stream.on('data', message => {
    read(message.partition, Number(message.offset), Number(message.offset))
    last.set(message.partition, message)
    if (++count % PAUSE_EVERY !== 0) return
    stream.pause()
    say('paused')
    setTimeout(() => {
      say('resumed')
      stream.resume()
    }, PAUSE_MS)
  })
  const commit = async () => {
    const messages = [...last.values()]
    last.clear()
    try {
      for (const message of messages) await message.commit()
      committed(new Map(messages.map(one => [one.partition, Number(one.offset) + 1])))
    } catch (error) {
      say('commit_failed', { error: String(error) })
    }
  }
  let committing = Promise.resolve()
  const timer = setInterval(() => {
    committing = committing.then(commit)
  }, 200)
  return async () => {
    clearInterval(timer)
    stream.pause()
    await committing
    await commit()
    await consumer.close(true)
  }
}

async function likeKafkajs(consumer: KafkajsConsumer): Promise<() => Promise<void>> {
  if (consumer.events !== undefined) consumer.on?.(consumer.events.GROUP_JOIN, () => say('joined'))
  await consumer.connect()
  await consumer.subscribe({ topics: [topic] })
  let count = 0
  await consumer.run({
    eachBatchAutoResolve: true,
    // kafkajs commits by itself unless told otherwise; the other one takes this when it is made.
    ...(client === 'kafkajs' ? { autoCommit: false } : {}),
    eachBatch: async ({ batch }) => {
      const { partition, messages } = batch
      const [first, final] = [messages[0], messages.at(-1)]
      if (first === undefined || final === undefined) return
      read(partition, Number(first.offset), Number(final.offset))
      const next = Number(final.offset) + 1
      try {
        await consumer.commitOffsets([{ topic, partition, offset: String(next) }])
        committed(new Map([[partition, next]]))
      } catch (error) {
        say('commit_failed', { error: String(error) })
        throw error
      }
      const before = count
      count += messages.length
      if (Math.floor(before / PAUSE_EVERY) === Math.floor(count / PAUSE_EVERY)) return
      consumer.pause([{ topic }])
      say('paused')
      setTimeout(() => {
        say('resumed')
        consumer.resume([{ topic }])
      }, PAUSE_MS)
    },
  })
  return () => consumer.disconnect()
}

async function kafkajs(): Promise<() => Promise<void>> {
  const { default: kafka } = await import(pathToFileURL(where).href)
  const made = new kafka.Kafka({ brokers: [bootstrap], clientId: 'kafkajs', logLevel: 0 })
  const times = {
    sessionTimeout: SESSION_MS,
    heartbeatInterval: HEARTBEAT_MS,
    maxWaitTimeInMs: 200,
  }
  const consumer: KafkajsConsumer = made.consumer({ groupId, ...times })
  const { subscribe } = consumer
  consumer.subscribe = options => subscribe({ ...options, fromBeginning: true })
  return likeKafkajs(consumer)
}

async function confluent(): Promise<() => Promise<void>> {
  const { default: library } = await import(pathToFileURL(where).href)
  const made = new library.KafkaJS.Kafka({
    kafkaJS: { brokers: [bootstrap], clientId: 'confluent' },
  })
  const classic = { sessionTimeout: SESSION_MS, heartbeatInterval: HEARTBEAT_MS }
  const kind = protocol === 'consumer' ? {} : classic
  const settings = { groupId, fromBeginning: true, autoCommit: false, ...kind }
  const consumer = made.consumer({ kafkaJS: settings, 'group.protocol': protocol })
  return likeKafkajs(consumer)
}

const CLIENTS: Readonly<Record<string, () => Promise<() => Promise<void>>>> = {
  kafkajs,
  platformatic,
  confluent,
}

const leave = await CLIENTS[client]!()
say('startup_complete')
process.once('SIGTERM', () => {
  void leave().then(
    () => process.exit(0),
    error => {
      say('failed', { error: String(error) })
      process.exit(1)
    },
  )
})
