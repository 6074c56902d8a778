/** Programs as in `programs.ts`, about what a consumer does over time: pauses, seeks, commits, events, failures, company. */
import { arrivals, consumerConfig, fill, type Program, text } from './programs.ts'

const pausing: Program = async (kafka, print) => {
  await fill(kafka, 'paused', 6)
  const consumer = kafka.consumer(consumerConfig('pausing'))
  await consumer.connect()
  await consumer.subscribe({ topic: 'paused', fromBeginning: true })
  const [half, whole] = [arrivals(3), arrivals(6)]
  let resume: (() => void) | null = null
  await consumer.run({
    eachMessage: async ({ message, pause }) => {
      print(message.offset, text(message.value))
      if (message.offset === '2') resume = pause()
      half.one()
      whole.one()
    },
  })
  await half.all
  print(consumer.paused())
  resume!()
  print(consumer.paused())
  await whole.all
  consumer.pause([{ topic: 'paused' }])
  print(consumer.paused())
  consumer.resume([{ topic: 'paused' }])
  print(consumer.paused())
  await consumer.disconnect()
}

const seeking: Program = async (kafka, print) => {
  await fill(kafka, 'sought', 5)
  const consumer = kafka.consumer(consumerConfig('seeking'))
  await consumer.connect()
  await consumer.subscribe({ topics: [/^soug/], fromBeginning: true })
  let hasSought = false
  const { all, one } = arrivals(6)
  await consumer.run({
    eachMessage: async ({ topic, partition, message }) => {
      print(message.offset)
      if (message.offset === '3' && !hasSought) {
        hasSought = true
        consumer.seek({ topic, partition, offset: '1' })
      }
      if (Number(message.offset) > 0) one()
    },
  })
  consumer.seek({ topic: 'sought', partition: 0, offset: '2' })
  await all
  await consumer.disconnect()
}

const manualCommit: Program = async (kafka, print) => {
  await fill(kafka, 'by-hand', 6)
  const read = async (from: string, count: number) => {
    const consumer = kafka.consumer(consumerConfig('by-hand'))
    await consumer.connect()
    await consumer.subscribe({ topic: 'by-hand', fromBeginning: true })
    const { all, one } = arrivals(count)
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ topic, partition, message }) => {
        if (count-- > 0) print(from, message.offset)
        const offset = `${Number(message.offset) + 1}`
        if (message.offset === '2')
          await consumer.commitOffsets([{ topic, partition, offset, metadata: 'mine' }])
        one()
      },
    })
    await all
    await consumer.disconnect()
  }
  await read('first', 4)
  await read('second', 3)
  const admin = kafka.admin()
  await admin.connect()
  print(await admin.fetchOffsets({ groupId: 'by-hand', topics: ['by-hand'] }))
  await admin.disconnect()
}

const events: Program = async (kafka, print) => {
  await fill(kafka, 'eventful', 2)
  const consumer = kafka.consumer(consumerConfig('events'))
  print(consumer.events)
  const { GROUP_JOIN, CONNECT, DISCONNECT, STOP, COMMIT_OFFSETS, HEARTBEAT } = consumer.events
  const { START_BATCH_PROCESS, END_BATCH_PROCESS, REQUEST, FETCH } = consumer.events
  for (const name of [CONNECT, STOP, DISCONNECT]) consumer.on(name, ({ type }) => print(type))
  consumer.on(GROUP_JOIN, ({ type, payload }) => {
    const { groupId, isLeader, memberAssignment, groupProtocol, memberId, leaderId } = payload
    print(type, groupId, isLeader, memberAssignment, groupProtocol, memberId === leaderId)
  })
  const committed = arrivals(1)
  consumer.on(COMMIT_OFFSETS, ({ type, payload }) => {
    // kafkajs has the partition as text here, against its own types.
    const [{ topic, partitions }] = payload.topics as [(typeof payload.topics)[number]]
    const offsets = partitions.map(({ partition, offset }) => [Number(partition), offset])
    print(type, payload.groupId, topic, offsets, payload.groupGenerationId)
    committed.one()
  })
  consumer.on(START_BATCH_PROCESS, ({ type, payload }) => print(type, payload))
  consumer.on(END_BATCH_PROCESS, ({ type, payload }) => print(type, { ...payload, duration: 0 }))
  const apis = new Set<string>()
  const first = { heartbeat: arrivals(1), fetch: arrivals(1) }
  consumer.on(REQUEST, ({ payload }) => void apis.add(payload.apiName))
  consumer.on(HEARTBEAT, first.heartbeat.one)
  const off = consumer.on(FETCH, first.fetch.one)
  await consumer.connect()
  await consumer.subscribe({ topic: 'eventful', fromBeginning: true })
  await consumer.run({ eachMessage: async ({ message }) => print('message', message.offset) })
  await Promise.all([first.heartbeat.all, first.fetch.all, committed.all])
  off()
  await consumer.disconnect()
  print(['Metadata', 'JoinGroup', 'Fetch', 'Heartbeat', 'OffsetCommit'].filter(a => !apis.has(a)))
  try {
    consumer.on('consumer.nothing' as 'consumer.connect', () => {})
  } catch (error) {
    print((error as Error).name, (error as Error).message.slice(0, 30))
  }
  const producer = kafka.producer()
  print(producer.events, kafka.admin().events)
  producer.on(producer.events.CONNECT, ({ type }) => print(type))
  producer.on(producer.events.DISCONNECT, ({ type }) => print(type))
  await producer.connect()
  await producer.disconnect()
}

const retrying: Program = async (kafka, print) => {
  await fill(kafka, 'retried', 3)
  const consumer = kafka.consumer(consumerConfig('retrying'))
  await consumer.connect()
  await consumer.subscribe({ topic: 'retried', fromBeginning: true })
  const { all, one } = arrivals(3)
  let failures = 0
  await consumer.run({
    eachMessage: async ({ message }) => {
      print(message.offset)
      if (message.offset === '1' && failures++ < 2) throw new Error('not now')
      one()
    },
  })
  await all
  await consumer.disconnect()
}

const crashing: Program = async (kafka, print) => {
  await fill(kafka, 'crashed', 3)
  for (const Failure of [TypeError, Error]) {
    const restartOnFailure = async (error: Error) => {
      print('may restart?', error.name, error.message)
      return false
    }
    const config = consumerConfig(`crashing-${Failure.name}`)
    const consumer = kafka.consumer({ ...config, retry: { ...config.retry, restartOnFailure } })
    await consumer.connect()
    await consumer.subscribe({ topic: 'crashed', fromBeginning: true })
    const crashed = new Promise<void>(resolve => {
      consumer.on(consumer.events.CRASH, ({ payload: { error, groupId, restart } }) => {
        print(groupId, restart, error.name, error.message)
        resolve()
      })
    })
    consumer.on(consumer.events.DISCONNECT, ({ type }) => print(type))
    await consumer.run({
      eachMessage: async ({ message }) => {
        print(message.offset)
        if (message.offset === '1') throw new Failure('never')
      },
    })
    await crashed
    await consumer.disconnect()
  }
}

const restarting: Program = async (kafka, print) => {
  await fill(kafka, 'restarted', 4)
  const consumer = kafka.consumer(consumerConfig('restarting'))
  await consumer.connect()
  await consumer.subscribe({ topic: 'restarted', fromBeginning: true })
  let failures = 0
  const { all, one } = arrivals(1)
  consumer.on(consumer.events.CRASH, ({ payload }) => print(payload.restart, payload.error.name))
  await consumer.run({
    eachMessage: async ({ message }) => {
      print(message.offset)
      if (message.offset === '2' && failures++ < 4) throw new Error('again')
      if (message.offset === '3') one()
    },
  })
  await all
  await consumer.stop()
  const again = arrivals(1)
  await consumer.run({
    eachMessage: async ({ message }) => {
      print('again', message.offset)
      again.one()
    },
  })
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic: 'restarted', messages: [{ value: 'one more' }] })
  await again.all
  await producer.disconnect()
  await consumer.disconnect()
}

const sharing: Program = async (kafka, print, { PartitionAssigners }) => {
  await fill(kafka, 'shared', 40, 4)
  const consumers = ['one', 'two'].map(() =>
    kafka.consumer({
      ...consumerConfig('sharing'),
      partitionAssigners: [PartitionAssigners.roundRobin],
    }),
  )
  const values = new Set<string>()
  const { all, one } = arrivals(40)
  const shares = new Map<number, number>()
  let settle: () => void
  const settled = new Promise<void>(resolve => {
    settle = resolve
  })
  for (const [i, consumer] of consumers.entries()) {
    await consumer.connect()
    await consumer.subscribe({ topic: 'shared', fromBeginning: true })
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      shares.set(i, Object.values(payload.memberAssignment).flat().length)
      if ([...shares.values()].sort().join() === '2,2') settle()
    })
    await consumer.run({
      partitionsConsumedConcurrently: 2,
      eachMessage: async ({ message }) => {
        const value = message.value!.toString()
        if (!values.has(value)) one()
        values.add(value)
      },
    })
  }
  await Promise.all([all, settled])
  print([...shares], values.size)
  await Promise.all(consumers.map(consumer => consumer.disconnect()))
}

export const consumerPrograms: Readonly<Record<string, Program>> = {
  pausing,
  seeking,
  'manual commit': manualCommit,
  events,
  retrying,
  crashing,
  restarting,
  sharing,
}
