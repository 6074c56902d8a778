/**
 * Kafka's groups tool about a group that has a member, of each protocol: it says of Ottla's what it says of Kafka's, and
 * refuses what would pull the ground from under the member.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { missing, startKafka, startOttla, until } from './harness.ts'
import { difference, normalise, type Side, ToolJvm } from './harness-tools.ts'
import { VerifiableConsumer } from './verifiable-consumer.ts'

const TOPIC = 'watched'
const PARTITIONS = 3
const RECORDS = 30
const skip = missing('kafka')
const sides: Side[] = []

before(async () => {
  if (skip !== false) return
  const servers = await Promise.all([startKafka(), startOttla()])
  for (const server of servers) sides.push({ server, tools: new ToolJvm() })
  await Promise.all(sides.map(fill))
})

after(async () => {
  for (const { tools } of sides) tools.close()
  await Promise.all(sides.map(({ server }) => server.stop()))
})

async function fill({ server, tools }: Side): Promise<void> {
  const where = ['--bootstrap-server', server.bootstrap, '--topic', TOPIC]
  await tools.runWell('topics', [...where, '--create', '--partitions', String(PARTITIONS)])
  // Without keys a producer stays with one partition, which one is chance; these keys use all three.
  const stdin = Array.from({ length: RECORDS }, (_, i) => `key-${i}\tvalue ${i}\n`).join('')
  const keyed = ['--reader-property', 'parse.key=true']
  await tools.runWell('console-producer', [...where, ...keyed], { stdin })
}

const MEMBER_ID =
  /\b(consumer-readers-\w+-1-)?[\w-]{22}\b|\b(consumer-readers-\w+-1-)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g
// Kafka counts the first epoch of a new group of the consumer protocol as 2, we as 1.
const EPOCHS = /(?<=(Stable|Empty) )\d+ \d+|\d+ (?=watched:0,1,2)/g
/** Columns are as wide as ids and ports are. */
const tidied = (text: string, side: Side): string =>
  normalise(text, side, MEMBER_ID)
    .replace(/ +/g, ' ')
    .replace(/-+/g, '-')
    .replace(EPOCHS, '<epoch> ')

const ABOUT = (group: string): readonly string[] => [
  `--describe --group ${group}`,
  `--describe --group ${group} --verbose`,
  `--describe --group ${group} --offsets`,
  `--describe --group ${group} --members`,
  `--describe --group ${group} --members --verbose`,
  `--describe --group ${group} --state`,
  `--describe --group ${group} --state --verbose`,
  '--list',
  '--list --state',
  '--list --state stable,empty',
  '--list --type',
  '--list --type consumer',
  '--list --type classic --state',
]
const AGAINST = (group: string): readonly string[] => [
  `--reset-offsets --group ${group} --all-topics --to-earliest --execute`,
  `--reset-offsets --group ${group} --topic ${TOPIC}:1 --shift-by -1 --dry-run`,
  `--reset-offsets --group ${group} --topic ${TOPIC} --to-offset 2 --dry-run --export`,
  `--delete-offsets --group ${group} --topic ${TOPIC}`,
]

for (const protocol of ['classic', 'consumer'] as const) {
  const group = `readers-${protocol}`
  const commands = [
    ...ABOUT(group),
    ...AGAINST(group),
    `--delete --group ${group}`,
    'the member leaves',
    ...ABOUT(group),
    ...AGAINST(group),
    `--describe --group ${group}`,
    `--delete --group ${group}`,
    `--describe --group ${group}`,
    '--list',
  ]
  test(`the groups tool about a group and its member: ${protocol}`, { skip }, async t => {
    const consumers = sides.map(({ server }) => {
      const { bootstrap } = server
      return new VerifiableConsumer({ bootstrap, topic: TOPIC, group, protocol })
    })
    for (const consumer of consumers) {
      const committed = () =>
        consumer.events
          .filter(({ name, success }) => name === 'offsets_committed' && success === true)
          .flatMap(({ offsets = [] }) => offsets)
      const sum = () => {
        const ends = new Map(committed().map(({ partition, offset }) => [partition, offset]))
        return [...ends.values()].reduce((all, offset) => all + offset, 0)
      }
      await until(() => sum() === RECORDS, 'all records are read and committed')
    }
    for (const line of commands) {
      if (line === 'the member leaves') {
        await Promise.all(consumers.map(consumer => consumer.end('SIGTERM')))
        continue
      }
      await t.test(line, async () => {
        const [theirs, ours] = (await Promise.all(sides.map(side => answer(side, line)))) as [
          string,
          string,
        ]
        if (ours !== theirs) {
          assert.equal(ours, theirs, `differs from Kafka:\n${difference(theirs, ours)}\n`)
        }
      })
    }
  })
}

async function answer(side: Side, line: string): Promise<string> {
  const args = ['--bootstrap-server', side.server.bootstrap, ...line.split(' ')]
  const { code, stdout, stderr } = await side.tools.run('groups', args)
  const said = tidied(stdout.toString(), side)
  return `exit ${code}\n--- stdout\n${said}\n--- stderr\n${tidied(stderr, side)}`
}
