/**
 * What DescribeConfigs says of a topic, a group, a broker and the defaults of all brokers: the value of each setting, and its
 * synonyms: every layer that has a value for it, the one in force first (KIP-226).
 *
 * Times come in several units (`log.retention.ms`, `.minutes`, `.hours`), and those count as synonyms of each other. As
 * in Kafka, the list of a setting begins at its own name: `log.retention.ms` without a value of its own has none, though
 * `log.retention.hours` decides.
 */
import { internalTopicSettings, topicSetting, topicSettings } from '../../segment-store/config.ts'
import {
  canonicalText,
  defaultText,
  documentation,
  type Setting,
  settingTypeCodes,
} from '../../segment-store/setting.ts'
import { type BrokerConfig, brokerSettings, effectiveText } from '../config.ts'
import { isDynamic } from './dynamic.ts'
import { brokerNameOf, groupConfigs } from './group-configs.ts'
import { hiddenSettings } from './ignored.ts'

/** Where a value comes from, as numbers on the wire. */
export const configSources = {
  TOPIC_CONFIG: 1,
  DYNAMIC_BROKER_CONFIG: 2,
  DYNAMIC_DEFAULT_BROKER_CONFIG: 3,
  STATIC_BROKER_CONFIG: 4,
  DEFAULT_CONFIG: 5,
  GROUP_CONFIG: 8,
} as const

export interface ConfigSynonym {
  readonly name: string
  readonly value: string | null
  readonly source: number
}

/** One setting, under the names of the DescribeConfigs response. */
export interface ConfigEntry {
  readonly name: string
  readonly value: string | null
  readonly readOnly: boolean
  readonly configSource: number
  readonly isSensitive: boolean
  readonly synonyms: readonly ConfigSynonym[]
  readonly configType: number
  readonly documentation: string
}

const UNITS: readonly (readonly string[])[] = [
  ['log.roll.ms', 'log.roll.hours'],
  ['log.roll.jitter.ms', 'log.roll.jitter.hours'],
  ['log.flush.interval.ms', 'log.flush.scheduler.interval.ms'],
  ['log.retention.ms', 'log.retention.minutes', 'log.retention.hours'],
]

/** The settings of a topic with these overrides; all of them, or those that are asked for and exist. */
export function describeTopicConfigs(
  config: BrokerConfig,
  overrides: Readonly<Record<string, string>>,
  names: readonly string[] | null = null,
): readonly ConfigEntry[] {
  const all = [
    ...Object.keys(topicSettings),
    ...Object.keys(internalTopicSettings).filter(name => Object.hasOwn(overrides, name)),
  ]
  return chosen(all, names).map(name => {
    const setting = topicSetting(name)!
    const override = overrides[name]
    const synonyms =
      setting.serverDefault === null ? [] : [...brokerSynonyms(config, setting.serverDefault)]
    let value = config.topicDefaults[name as keyof typeof topicSettings] ?? defaultText(setting)
    if (override !== undefined) {
      value = canonicalText(name, setting, override)
      synonyms.unshift({ name, value, source: configSources.TOPIC_CONFIG })
    }
    return entry(name, setting, value, synonyms, false)
  })
}

/** The settings of this broker. */
export function describeBrokerConfigs(
  config: BrokerConfig,
  names: readonly string[] | null = null,
): readonly ConfigEntry[] {
  const isSet = (name: string) =>
    config.given.has(name) ||
    Object.hasOwn(config.dynamic.broker, name) ||
    Object.hasOwn(config.dynamic.clusterDefault, name)
  const all = [...brokerSettings.keys()].filter(
    name => !Object.hasOwn(hiddenSettings, name) || isSet(name),
  )
  return chosen(all, names).map(name =>
    brokerEntry(name, effectiveText(config, name), brokerSynonyms(config, name)),
  )
}

/** What was set for all brokers of the cluster while it ran: the broker resource with an empty name. */
export function describeClusterDefaults(
  config: BrokerConfig,
  names: readonly string[] | null = null,
): readonly ConfigEntry[] {
  const { clusterDefault } = config.dynamic
  const all = Object.keys(clusterDefault).filter(name => brokerSettings.has(name))
  return chosen(all, names).map(name => {
    const setting = brokerSettings.get(name)!
    const value = clusterDefault[name]!
    const source = configSources.DYNAMIC_DEFAULT_BROKER_CONFIG
    return brokerEntry(name, canonicalText(name, setting, value), [{ name, value, source }])
  })
}

/** The settings of a group with these overrides. */
export function describeGroupConfigs(
  config: BrokerConfig,
  overrides: Readonly<Record<string, string>>,
  names: readonly string[] | null = null,
): readonly ConfigEntry[] {
  return chosen([...groupConfigs.keys()], names).map(name => {
    const setting = groupConfigs.get(name)!
    const brokerName = brokerNameOf(name)
    const fallback = { name, value: defaultText(setting), source: configSources.DEFAULT_CONFIG }
    const synonyms = brokerName === null ? [fallback] : [...brokerSynonyms(config, brokerName)]
    let value = brokerName === null ? fallback.value : effectiveText(config, brokerName)
    const override = overrides[name]
    if (override !== undefined) {
      value = canonicalText(name, setting, override)
      synonyms.unshift({ name, value, source: configSources.GROUP_CONFIG })
    }
    return entry(name, setting, value, synonyms, false)
  })
}

function chosen(all: readonly string[], names: readonly string[] | null): readonly string[] {
  const wanted = names === null ? null : new Set(names)
  return all.filter(name => wanted === null || wanted.has(name)).sort()
}

function brokerEntry(
  name: string,
  value: string | null,
  synonyms: readonly ConfigSynonym[],
): ConfigEntry {
  return entry(name, brokerSettings.get(name)!, value, synonyms, !isDynamic(name))
}

function entry(
  name: string,
  setting: Setting,
  value: string | null,
  synonyms: readonly ConfigSynonym[],
  readOnly: boolean,
): ConfigEntry {
  const isSensitive = setting.type === 'PASSWORD'
  return {
    name,
    value: isSensitive ? null : value,
    readOnly,
    configSource: synonyms[0]?.source ?? configSources.DEFAULT_CONFIG,
    isSensitive,
    synonyms: isSensitive ? synonyms.map(synonym => ({ ...synonym, value: null })) : synonyms,
    configType: settingTypeCodes[setting.type],
    documentation: documentation(setting),
  }
}

/** Every layer's value for a broker setting, the one in force first. */
function brokerSynonyms(config: BrokerConfig, name: string): readonly ConfigSynonym[] {
  const names = UNITS.find(units => units.includes(name)) ?? [name]
  const { broker, clusterDefault } = config.dynamic
  const layers: readonly (readonly [number, (name: string) => string | null | undefined])[] = [
    [configSources.DYNAMIC_BROKER_CONFIG, key => broker[key]],
    [configSources.DYNAMIC_DEFAULT_BROKER_CONFIG, key => clusterDefault[key]],
    [configSources.STATIC_BROKER_CONFIG, key => staticText(config, key)],
    [configSources.DEFAULT_CONFIG, shownDefault],
  ]
  const synonyms: ConfigSynonym[] = []
  for (const [source, valueIn] of layers) {
    for (const key of names) {
      const value = valueIn(key)
      if (value !== undefined && value !== null) synonyms.push({ name: key, value, source })
    }
  }
  const own = synonyms.findIndex(synonym => synonym.name === name)
  return own < 0 ? [] : synonyms.slice(own)
}

/** `node.id` and `broker.id` are one setting with two names. */
function staticText(config: BrokerConfig, name: string): string | undefined {
  const other = name === 'node.id' ? 'broker.id' : name === 'broker.id' ? 'node.id' : null
  const { given } = config
  return given.get(name)?.text ?? (other === null ? undefined : given.get(other)?.text)
}

function shownDefault(name: string): string | null {
  const setting = brokerSettings.get(name)
  return setting === undefined || Object.hasOwn(hiddenSettings, name) ? null : defaultText(setting)
}
