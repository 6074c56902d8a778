// A program written for kafkajs. Only the next line has changed; it was: import { Kafka, logLevel } from 'kafkajs'
import { Kafka, logLevel } from 'ottla'

const kafka = new Kafka({
  clientId: 'my-app',
  brokers: [process.argv[2] ?? 'localhost:9092'],
  logLevel: logLevel.ERROR,
})

const producer = kafka.producer()
await producer.connect()
await producer.send({
  topic: 'test-topic',
  messages: [{ key: 'greeting', value: 'Hello KafkaJS user!' }],
})
await producer.disconnect()

const consumer = kafka.consumer({ groupId: 'test-group' })
await consumer.connect()
await consumer.subscribe({ topic: 'test-topic', fromBeginning: true })
await new Promise(resolve =>
  consumer.run({
    eachMessage: async ({ topic, partition, message }) => {
      console.log({
        topic,
        partition,
        offset: message.offset,
        key: message.key.toString(),
        value: message.value.toString(),
      })
      resolve()
    },
  }),
)
await consumer.disconnect()
