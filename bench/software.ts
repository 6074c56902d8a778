/**
 * What can be known of the brokers' software. No request asks for its name or version; what is on the wire are the versions
 * of APIs, and the highest metadata.version that the broker supports, of which each release of Apache Kafka has its own
 * (`MetadataVersion` there). Of a broker on this machine the process says more: Kafka's jar carries its version.
 */
import { readFileSync, readlinkSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { Attempt, Cluster } from '../client/cluster.ts'
import { SOFTWARE_NAME, SOFTWARE_VERSION } from '../client/config.ts'
import { namesIn } from './machine.ts'

/** The first level of each release from 3.3 on. */
const RELEASES = [
  [4, '3.3'],
  [8, '3.4'],
  [9, '3.5'],
  [12, '3.6'],
  [15, '3.7'],
  [20, '3.8'],
  [21, '3.9'],
  [22, '4.0'],
  [26, '4.1'],
  [28, '4.2'],
  [30, '4.3'],
  [31, '4.4'],
  [34, 'after 4.4'],
] as const

/** Number of brokers, the cluster's id, and how new it says that it is. */
export async function describeCluster(cluster: Cluster, attempt: Attempt): Promise<string> {
  const { clusterId, brokers } = await cluster.metadata([], attempt)
  const asked = { clientSoftwareName: SOFTWARE_NAME, clientSoftwareVersion: SOFTWARE_VERSION }
  const { supportedFeatures } = await cluster.request('any', 'ApiVersions', asked, attempt)
  const level = supportedFeatures.find(({ name }) => name === 'metadata.version')?.maxVersion
  const connection = await cluster.connect('any', attempt)
  const versions = `Produce ${connection.version('Produce')}, Fetch ${connection.version('Fetch')}`
  const count = `${brokers.length} ${brokers.length === 1 ? 'broker' : 'brokers'}`
  const facts = [count, `cluster id ${clusterId ?? 'unknown'}`, versions]
  if (level !== undefined) facts.push(`metadata.version up to ${level}${releaseOf(level)}`)
  return facts.join(', ')
}

function releaseOf(level: number): string {
  const release = RELEASES.findLast(([first]) => level >= first)
  return release === undefined ? '' : ` as in Kafka ${release[1]}`
}

/** Program and version of processes of this machine, each once; empty where nothing is known. */
export function softwareOf(pids: readonly number[]): string {
  return [...new Set(pids.flatMap(pid => softwareOfProcess(pid) ?? []))].join(' and ')
}

function softwareOfProcess(pid: number): string | null {
  try {
    const folder = `/proc/${pid}`
    const words = readFileSync(`${folder}/cmdline`, 'utf8').split('\0').filter(Boolean)
    return kafkaOf(folder) ?? packageOf(folder, words) ?? basename(words[0] ?? '')
  } catch {
    return null
  }
}

/** kafka_SCALA-VERSION.jar, which the virtual machine holds open. */
function kafkaOf(folder: string): string | null {
  for (const name of namesIn(`${folder}/fd`)) {
    const file = linkOf(`${folder}/fd/${name}`)
    const version = /\/kafka_[\d.]+-(\d[\w.-]*)\.jar$/.exec(file)?.[1]
    if (version !== undefined) return `Apache Kafka ${version}`
  }
  return null
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

/** A script of Node, by the package.json above it: `node bin/ottla broker`. */
function packageOf(folder: string, words: readonly string[]): string | null {
  const script = words.slice(1).find(word => !word.startsWith('-'))
  if (!/^node/.test(basename(words[0] ?? '')) || script === undefined) return null
  let at = resolve(readlinkSync(`${folder}/cwd`), script)
  while (dirname(at) !== at) {
    at = dirname(at)
    const found = packageIn(at)
    if (found !== null) return found
  }
  return null
}

function packageIn(folder: string): string | null {
  try {
    const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
      readonly name?: string
      readonly version?: string
    }
    return name === undefined ? null : `${name} ${version ?? ''}`.trim()
  } catch {
    return null
  }
}
