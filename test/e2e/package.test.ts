/**
 * The package as a stranger gets it: packed, installed into an empty folder without a registry, and used from ES modules,
 * from CommonJS, from TypeScript and as a command, with the native packages and without them. Where Bun and Deno are on the
 * PATH (or named by OTTLA_BUN, OTTLA_DENO) the same programs run there.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { after, before, test } from 'node:test'

const ROOT = resolve('.')
const scratch = mkdtempSync(join(tmpdir(), 'ottla-package-'))
after(() => rmSync(scratch, { recursive: true, force: true }))

/** What a person has who depends on ottla; packages come from this checkout, where npm put them. */
function install(name: string, packed: string, omitsOptional: boolean): string {
  const folder = join(scratch, name)
  mkdirSync(folder)
  const installed = execFileSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], {
    encoding: 'utf8',
  })
  const modules = join(ROOT, 'node_modules')
  const overrides: Record<string, string> = {}
  for (const path of installed.trim().split('\n').slice(1)) {
    const inside = path.slice(modules.length + 1)
    if (!inside.includes('node_modules')) overrides[inside] = `file:${path}`
  }
  const manifest = { name, private: true, dependencies: { ottla: `file:${packed}` }, overrides }
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
  const args = ['install', '--offline', '--no-audit', '--no-fund', '--ignore-scripts']
  if (omitsOptional) args.push('--omit=optional')
  execFileSync('npm', args, { cwd: folder, stdio: 'pipe' })
  return folder
}

/** Runs a program in the folder; returns what it prints. Standard error is shown when it fails. */
function run(folder: string, file: string, text: string, command = [process.execPath]): string {
  writeFileSync(join(folder, file), text)
  const [program, ...args] = command
  const { status, stdout, stderr } = spawnSync(program!, [...args, file], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 60_000,
  })
  assert.equal(status, 0, `${file}: ${stdout}${stderr}`)
  return stdout
}

const PROGRAM = `
  const broker = await startBroker()
  const client = new Client({ bootstrap: broker.bootstrap })
  const producer = client.producer({ value: json(), compression: 'gzip' })
  console.log(await producer.send({ topic: 'orders', key: 'o-1', value: { item: 'tea' }, timestampMs: 5 }))
  await producer.close()
  const kafka = new Kafka({ brokers: [broker.bootstrap], logLevel: 0 })
  const consumer = kafka.consumer({ groupId: 'g', maxWaitTimeInMs: 20 })
  await consumer.connect()
  await consumer.subscribe({ topic: 'orders', fromBeginning: true })
  await new Promise(resolve => consumer.run({
    eachMessage: async ({ message }) => {
      console.log(message.offset, String(message.key), String(message.value))
      resolve()
    },
  }))
  await consumer.disconnect()
  await broker.stop()
`
const PRINTED = `{ topic: 'orders', partition: 0, offset: 0, timestampMs: 5 }
0 o-1 {"item":"tea"}
`
const ESM = `import { Client, json, Kafka } from 'ottla'
import { startBroker } from 'ottla/broker'
${PROGRAM}`

let packed: string
let full: string

before(() => {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', scratch]
  const output = execFileSync('npm', args, { encoding: 'utf8' })
  const said = JSON.parse(output) as { filename: string; files: { path: string }[] }[]
  packed = join(scratch, said[0]!.filename)
  const paths = said[0]!.files.map(({ path }) => path)
  const stray = paths.filter(path => /^dist\/test|\.map$|(?<!\.d)\.ts$/.test(path))
  assert.deepEqual(stray, [])
  full = install('full', packed, false)
})

test('an ES module runs', () => {
  assert.equal(run(full, 'program.mjs', ESM), PRINTED)
})

test('CommonJS runs with import(), and with require where Node has it for ES modules', () => {
  const head = `(async () => {
    const { Client, json, Kafka } = await import('ottla')
    const { startBroker } = await import('ottla/broker')`
  assert.equal(run(full, 'program.cjs', `${head}${PROGRAM}})()`), PRINTED)
  const required = `const { Kafka, logLevel, CompressionTypes, KafkaJSError } = require('ottla')
    console.log(typeof Kafka, logLevel.INFO, CompressionTypes.GZIP, typeof KafkaJSError)
    console.log(require('ottla/kafkajs').Kafka === Kafka, require('ottla/package.json').name)`
  assert.equal(run(full, 'required.cjs', required), 'function 4 1 function\ntrue ottla\n')
})

test('an import does no work: no timer, no socket, no native code', () => {
  const text = `
    import 'ottla'
    import Module from 'node:module'
    const mine = kind => /Timeout|Immediate|TCP|Server|FSReq/.test(kind)
    setImmediate(() => console.log(process.getActiveResourcesInfo().filter(mine), Object.keys(Module._cache)))`
  assert.equal(run(full, 'import.mjs', text), '[] []\n')
})

test('the command is there', () => {
  const bin = join(full, 'node_modules', '.bin', 'ottla')
  const { stdout, status } = spawnSync(bin, ['--version'], { encoding: 'utf8' })
  assert.deepEqual([status, stdout.trim()], [0, '0.1.0'])
})

test('without the native packages gzip works, and the others say what to install', () => {
  const bare = install('bare', packed, true)
  assert.equal(run(bare, 'program.mjs', ESM), PRINTED)
  const refused = `import { Client } from 'ottla'
    import { startBroker } from 'ottla/broker'
    const broker = await startBroker()
    const client = new Client({ bootstrap: broker.bootstrap })
    for (const compression of ['snappy', 'lz4']) {
      const producer = client.producer({ compression })
      await producer.send({ topic: 't', value: 'x' }).catch(error => console.log(error.message))
      await producer.close({ timeoutMs: 0 })
    }
    await broker.stop()`
  const said = run(bare, 'refused.mjs', refused)
  assert.match(said, /npm install snappy\b[\s\S]*npm install lz4-napi\b/)
})

const TYPED = `import { Client, type ConsumerRecord, int32, json, Kafka } from 'ottla'
import type { Admin, Consumer, EachMessagePayload, KafkaConfig, Producer } from 'ottla/kafkajs'
import { type EmbeddedBroker, startBroker } from 'ottla/broker'

const client = new Client({ bootstrap: 'localhost:9092' })
const producer = client.producer({ key: int32, value: json<{ item: string }>() })
void producer.send({ topic: 't', key: 7, value: { item: 'tea' } })
// @ts-expect-error the key is a number
void producer.send({ topic: 't', key: 'seven', value: { item: 'tea' } })
// @ts-expect-error the value has another shape
void producer.send({ topic: 't', value: { things: 1 } })
// @ts-expect-error there is no such codec
client.producer({ compression: 'rar' })
const record: ConsumerRecord<number, { item: string }> | null = await client
  .consumer({ key: int32, value: json<{ item: string }>() })
  .next()
const item: string | undefined = record?.value?.item
// @ts-expect-error the value may be null
const wrong: string = record!.value.item
const config: KafkaConfig = { brokers: ['localhost:9092'] }
const kafka = new Kafka(config)
const [p, c, a]: [Producer, Consumer, Admin] = [kafka.producer(), kafka.consumer({ groupId: 'g' }), kafka.admin()]
await c.run({ eachMessage: async ({ message }: EachMessagePayload) => void message.offset.length })
const broker: EmbeddedBroker = await startBroker()
export { a, broker, item, p, wrong }
`

test('types are right, and refuse what is wrong, in every module resolution that people use', () => {
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
  const types = join(full, 'node_modules', '@types')
  mkdirSync(dirname(join(types, 'node')), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules', '@types', 'node'), join(types, 'node'))
  symlinkSync(
    join(ROOT, 'node_modules', 'undici-types'),
    join(full, 'node_modules', 'undici-types'),
  )
  writeFileSync(join(full, 'typed.mts'), TYPED)
  const inReadme = [...readFileSync('README.md', 'utf8').matchAll(/^```ts\n([\s\S]*?)^```$/gm)]
  const files = inReadme.map(([, text], i) => {
    writeFileSync(join(full, `readme-${i}.mts`), text!)
    return `readme-${i}.mts`
  })
  assert.ok(files.length > 0)
  for (const [module, resolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ]) {
    const args = [
      '--noEmit',
      '--strict',
      '--target',
      'es2022',
      '--types',
      'node',
      '--skipLibCheck',
      'false',
    ]
    args.push('--module', module!, '--moduleResolution', resolution!, 'typed.mts', ...files)
    const { status, stdout } = spawnSync(tsc, args, { cwd: full, encoding: 'utf8' })
    assert.equal(status, 0, `${resolution}: ${stdout}`)
  }
})

for (const [name, variable, args] of [
  ['Bun', 'OTTLA_BUN', []],
  ['Deno', 'OTTLA_DENO', ['run', '--allow-all', '--node-modules-dir=manual']],
] as const) {
  const program = process.env[variable] ?? name.toLowerCase()
  const isThere = spawnSync(program, ['--version']).status === 0
  test(`the same program runs on ${name}`, {
    skip: isThere ? false : `${name} is not here: put it on the PATH, or name it in ${variable}`,
  }, () => {
    const said = run(full, `${name.toLowerCase()}.mjs`, ESM, [program, ...args])
    assert.deepEqual(
      said.replace(/\s+/g, ' ').replaceAll('"orders"', "'orders'").replace(/, }/, ' }'),
      PRINTED.replace(/\s+/g, ' '),
    )
  })
}
