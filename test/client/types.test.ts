/**
 * Types as tests: this file compiles only if what is right is accepted, and what is wrong refused (`npm run check`, and every
 * build). kafkajs's own types are the measure for its names: what ours give must do where a program asks for theirs.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type * as kafkajs from 'kafkajs'
import { pino } from 'pino'
import { Registry, register } from 'prom-client'
import {
  Client,
  type ConsumerRecord,
  int32,
  int64,
  json,
  type Kafka,
  type RecordPosition,
  type Serializer,
  string,
} from '../../client/index.ts'
import type * as names from '../../client/kafkajs/index.ts'

interface Order {
  readonly item: string
  readonly price: number
}

const client = new Client({ bootstrap: ['localhost:1'] })
const order: Order = { item: 'tea', price: 3 }

/** Never called: only its types count. */
export async function typed(): Promise<void> {
  const producer = client.producer({ key: int32, value: json<Order>() })
  const position: RecordPosition = await producer.send({ topic: 't', key: 1, value: order })
  await producer.send({ topic: 't', value: null, headers: { a: ['b', Buffer.alloc(1), null] } })
  // @ts-expect-error a key of another type
  await producer.send({ topic: 't', key: 'one', value: order })
  // @ts-expect-error a value that lacks a field
  await producer.send({ topic: 't', value: { item: 'tea' } })
  // @ts-expect-error no topic
  await producer.send({ value: order })
  // @ts-expect-error a misspelled field
  await producer.send({ topic: 't', value: order, partiton: 1 })
  // @ts-expect-error positions are read-only
  position.offset = 3
  // @ts-expect-error acks are all, 1 or 0
  client.producer({ acks: 2 })
  // @ts-expect-error there is no such codec
  client.producer({ compression: 'brotli' })
  // @ts-expect-error a plain producer takes bytes and text
  await client.producer().send({ topic: 't', value: order })

  const consumer = client.consumer({ key: string, value: json<Order>() })
  const record: ConsumerRecord<string, Order> | null = await consumer.next()
  const price: number | undefined = record?.value?.price
  // @ts-expect-error there may be no record, and no value
  const item: string = record.value.item
  // @ts-expect-error times and offsets are numbers
  consumer.seek('t', 0, 'beginning')
  // @ts-expect-error the handler gets the consumer's types
  await consumer.eachMessage((one: ConsumerRecord<number, Order>) => void one)
  const raw: Buffer | null | undefined = (await client.consumer().next())?.value
  const mine: Serializer<Date> = {
    name: 'date',
    serialize: date => date.toISOString(),
    deserialize: bytes => new Date(bytes.toString()),
  }
  const date: Date | null | undefined = (await client.consumer({ value: mine }).next())?.value
  // @ts-expect-error int64 is bigint or number, never text
  await client.producer({ value: int64 }).send({ topic: 't', value: 'x' })
  // @ts-expect-error a logger has warn, too
  void new Client({ bootstrap: 'b', logger: { debug() {}, info() {} } })
  // @ts-expect-error metrics is a registry, not a name
  void new Client({ bootstrap: 'b', metrics: 'kafka' })
  // @ts-expect-error tracing is on or off
  void new Client({ bootstrap: 'b', tracing: 'on' })
  void new Client({ bootstrap: 'b', metrics: new Registry(), logger: pino(), tracing: false })
  void new Client({ bootstrap: 'b', metrics: register, logger: console })
  void new Client({ bootstrap: 'b', logger: null })
  void [price, item, raw, date]
}

/** Never called. A program's functions that take kafkajs's things take ours, under its handlers and callbacks, too. */
export async function asKafkajs(kafka: Kafka): Promise<void> {
  const producer: Pick<kafkajs.Producer, Asked<'Producer'>> = kafka.producer()
  const consumer: Pick<kafkajs.Consumer, Asked<'Consumer'>> = kafka.consumer({ groupId: 'g' })
  const admin: Pick<kafkajs.Admin, Asked<'Admin'>> = kafka.admin()
  const run: kafkajs.ConsumerRunConfig = {
    eachMessage: async ({ message }: kafkajs.EachMessagePayload) => void message.offset,
    eachBatch: async ({ batch }: kafkajs.EachBatchPayload) => void batch.messages.length,
  }
  await consumer.run(run)
  await kafka.consumer({ groupId: 'g' }).run(run)
  const payload = {} as names.EachMessagePayload
  const theirs: kafkajs.EachMessagePayload = payload
  const batch: kafkajs.Batch = {} as names.Batch
  const kafkaConfig: names.KafkaConfig = {} as kafkajs.KafkaConfig
  const producerConfig: names.ProducerConfig = {} as kafkajs.ProducerConfig
  const consumerConfig: names.ConsumerConfig = {} as Omit<
    kafkajs.ConsumerConfig,
    'partitionAssigners'
  >
  const record: names.ProducerRecord = {} as Omit<kafkajs.ProducerRecord, 'compression'>
  kafka.consumer({ groupId: 'g' }).on('consumer.crash', ({ payload: { error } }) => error.message)
  // @ts-expect-error there is no such event
  kafka.consumer({ groupId: 'g' }).on('consumer.crashed', () => {})
  // @ts-expect-error a consumer has a group
  kafka.consumer({})
  // @ts-expect-error a message has a value
  await kafka.producer().send({ topic: 't', messages: [{ key: 'k' }] })
  void [producer, admin, theirs, batch, kafkaConfig, producerConfig, consumerConfig, record]
}

/** All but `on`, whose overloads TypeScript cannot compare with a generic signature, and what is not supported. */
type Asked<Name extends 'Producer' | 'Consumer' | 'Admin'> = Exclude<
  keyof {
    readonly Producer: kafkajs.Producer
    readonly Consumer: kafkajs.Consumer
    readonly Admin: kafkajs.Admin
  }[Name],
  'on' | 'transaction' | 'logger' | 'describeAcls' | 'createAcls' | 'deleteAcls'
>

test('types accept what is right and refuse what is wrong', () => {
  assert.equal(typeof typed, 'function')
  assert.equal(typeof asKafkajs, 'function')
})
