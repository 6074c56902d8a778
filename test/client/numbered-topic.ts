/** Topics whose records are numbers in text, spread over the partitions in turn. */
import type { Client } from '../../client/client.ts'
import type { Producer } from '../../client/producer.ts'

export async function numberedTopic(
  { client, producer }: { readonly client: Client; readonly producer: Producer },
  name: string,
  partitions: number,
  count: number,
): Promise<void> {
  const admin = client.admin()
  await admin.createTopics([{ name, partitions }])
  admin.close()
  await writeNumbers(producer, name, partitions, 0, count)
}

/** So many numbers, from this one on. */
export async function writeNumbers(
  producer: Producer,
  name: string,
  partitions: number,
  from: number,
  count: number,
): Promise<void> {
  const numbers = Array.from({ length: count }, (_, i) => from + i)
  const messages = numbers.map(i => ({ value: `${i}`, partition: i % partitions }))
  await producer.sendBatch(name, messages)
}
