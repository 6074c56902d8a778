/**
 * Rules as tests (STYLE.md): who may import whom, how long files may be, which names are banned, and that the tables in
 * the documents say what the tables in the code say. Reads the sources, not the build.
 */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { test } from 'node:test'
import { handlers } from '../broker/handlers.ts'
import { apis } from '../protocol/apis.ts'

const ROOMS = ['protocol', 'segment-store', 'broker', 'client', 'cli', 'test', 'bench']
const MAX_LINES = 500

interface Source {
  readonly path: string
  readonly text: string
}

function walk(directory: string): string[] {
  if (!existsSync(directory)) return []
  return readdirSync(directory).flatMap(name => {
    const path = join(directory, name)
    return statSync(path).isDirectory() ? walk(path) : [path]
  })
}

const sources: readonly Source[] = ROOMS.flatMap(walk)
  .filter(path => path.endsWith('.ts'))
  .map(path => ({ path, text: readFileSync(path, 'utf8') }))
const production = sources.filter(({ path }) => !/^(test|bench)\//.test(path))

/** The relative imports of a file, as paths from the root. */
function importsOf({ path, text }: Source): { target: string; typeOnly: boolean }[] {
  const pattern = /^(import|export)\s+(type\s)?[^'"]*?from\s+'(\.[^']+)'/gms
  return [...text.matchAll(pattern)].map(match => ({
    target: normalize(join(dirname(path), match[3]!)),
    typeOnly: match[2] !== undefined,
  }))
}

const STORE_MAY_USE =
  /^protocol\/(record-batch|records|record-scan|compression|crc32c|errors|buffer|buffer-pool|io)\.ts$/

/** Whether a file of one room may import a file of another; house rule 2.2. */
function mayImport(from: string, target: string, typeOnly: boolean): boolean {
  const [room, other] = [from.split('/')[0], target.split('/')[0]]
  if (room === other || room === 'test' || room === 'bench') return true
  switch (room) {
    case 'segment-store':
      return STORE_MAY_USE.test(target) && (target !== 'protocol/io.ts' || typeOnly)
    case 'client':
      return other === 'protocol'
    case 'broker':
      return other === 'protocol' || other === 'segment-store' || target === 'client/connection.ts'
    case 'cli':
      // The bench is a command, too; nothing else knows of it.
      return other !== 'test' && (other !== 'bench' || target === 'bench/command.ts')
    default:
      return false
  }
}

test('imports point one way between the rooms', () => {
  const wrong: string[] = []
  for (const source of sources) {
    for (const { target, typeOnly } of importsOf(source)) {
      if (!mayImport(source.path, target, typeOnly)) wrong.push(`${source.path} → ${target}`)
    }
  }
  assert.deepEqual(wrong, [])
})

/** Left to right inside broker/: each may use what stands to its right. */
const BROKER_LAYERS: readonly RegExp[] = [
  /^broker\/(main|embedded|running)\.ts$/,
  /^broker\/server\.ts$/,
  /^broker\/connection\.ts$/,
  /^broker\/handlers\.ts$/,
  /^broker\/api\//,
  /^broker\/broker\.ts$/,
  /^broker\/group\//,
  /^broker\/replication\//,
  /^broker\/metadata\//,
]

test('inside the broker imports point from sockets to state', () => {
  const layer = (path: string) => BROKER_LAYERS.findIndex(pattern => pattern.test(path))
  const wrong: string[] = []
  for (const source of production) {
    const from = layer(source.path)
    for (const { target, typeOnly } of importsOf(source)) {
      const to = layer(target)
      if (from >= 0 && to >= 0 && to < from && !typeOnly) wrong.push(`${source.path} → ${target}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('files and their names keep to the house rules', () => {
  const wrong: string[] = []
  for (const { path, text } of sources) {
    const lines = text.split('\n').length - 1
    if (lines > MAX_LINES) wrong.push(`${path}: ${lines} lines; the limit is ${MAX_LINES}`)
    if (/(^|\/)(utils?|helpers?|common|shared|types)\.ts$/.test(path))
      wrong.push(`${path}: banned name`)
    if (!/^[a-z0-9.-]+\.ts$/.test(path.split('/').at(-1)!)) wrong.push(`${path}: not kebab-case`)
    if (new RegExp('FIX' + 'ME').test(text)) wrong.push(`${path}: an unfinished spot`)
  }
  assert.deepEqual(wrong, [])
})

test('production files open with a comment that says what they are', () => {
  const wrong = production.filter(({ text }) => !text.startsWith('/**')).map(({ path }) => path)
  assert.deepEqual(wrong, [])
})

/** Doors: what may be used only behind them. */
const DOORS: readonly { what: RegExp; only: RegExp; why: string }[] = [
  {
    what: /from 'node:fs/,
    only: /^(segment-store\/(system-disk|system-file|directory-lock)|cli\/files)\.ts$/,
    why: 'files are Disk, but those that a user names',
  },
  {
    what: /from 'node:net'/,
    only: /^(protocol\/system-io|segment-store\/directory-lock|segment-store\/system-disk)\.ts$/,
    why: 'sockets are Io',
  },
  { what: /from 'node:http'/, only: /^broker\/metrics-server\.ts$/, why: 'one HTTP server' },
  {
    what: /\b(Date\.now|Math\.random|performance\.now|setTimeout|setInterval|setImmediate)\(/,
    only: /^(protocol\/system-io|segment-store\/system-file|cli\/.*)\.ts$/,
    why: 'time and chance are Io',
  },
  {
    what: /process\.(env|exit)\b/,
    only: /^(broker\/main|cli\/.*)\.ts$/,
    why: 'only commands touch the process',
  },
]

test('the outside world is entered through the doors only', () => {
  const wrong: string[] = []
  for (const { path, text } of production) {
    const code = text
      .replace(/\/\*[\s\S]*?\*\//g, '')
      .replace(/(^|\s)\/\/.*$/gm, '')
      .replace(/^import type .*$/gm, '')
    for (const { what, only, why } of DOORS) {
      if (what.test(code) && !only.test(path)) wrong.push(`${path}: ${what.source} (${why})`)
    }
    if (
      /:\s*any\b|<any>|as any\b/.test(code) &&
      path !== 'protocol/schema.ts' &&
      path !== 'protocol/compile.ts'
    )
      wrong.push(`${path}: any`)
  }
  assert.deepEqual(wrong, [])
})

test('every handler has a test file, and every served API its row in protocol/README.md', () => {
  const readme = readFileSync('protocol/README.md', 'utf8')
  const kebab = (name: string) => name.replace(/(?<!^)([A-Z])/g, '-$1').toLowerCase()
  const missing: string[] = []
  for (const name of Object.keys(handlers) as (keyof typeof handlers)[]) {
    const file = `test/broker/api/${kebab(name)}.test.ts`
    if (!existsSync(file)) missing.push(file)
    const { key, versions, advertised } = apis[name]
    const cell = (range: readonly [number, number]) => `${range[0]}–${range[1]}`
    const row = `| ${name} | ${key} | ${cell(versions)} | ${cell(advertised)} |`
    if (!readme.includes(row)) missing.push(`protocol/README.md: ${row}`)
  }
  assert.deepEqual(missing, [])
})

test('files that the documents name exist', () => {
  const wrong: string[] = []
  const documents = [
    'README.md',
    'ARCHITECTURE.md',
    'STYLE.md',
    'protocol/README.md',
    'segment-store/FORMAT.md',
  ]
  for (const document of documents) {
    const text = readFileSync(document, 'utf8')
    for (const [, path] of text.matchAll(
      /`((?:protocol|segment-store|broker|client|cli|test|bench)\/[\w./-]+\.(?:ts|md|txt))`/g,
    )) {
      if (!existsSync(path!)) wrong.push(`${document}: ${path}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('the sources are where the build expects them', () => {
  const stray = walk('.')
    .map(path => relative('.', path))
    .filter(path => path.endsWith('.ts') && !/^(node_modules|dist|\.)/.test(path))
    .filter(path => !ROOMS.includes(path.split('/')[0]!))
  assert.deepEqual(stray, [])
})
