/** Profiles in the browser's local storage; a lock serialises changes of several tabs. */

import { type ModelCard, Profile, ProfileError, type Report } from "../espressivo";

const PREFIX = "espressivo.profile/";

/** Return the names of speakers with a stored profile, sorted. */
export function names(): string[] {
  return Object.keys(localStorage)
    .filter((key) => key.startsWith(PREFIX))
    .map((key) => key.slice(PREFIX.length))
    .sort((a, b) => a.localeCompare(b));
}

/** @throws ProfileError The profile does not exist or is damaged. */
export async function load(speaker: string): Promise<Profile> {
  const text = localStorage.getItem(PREFIX + speaker);
  if (text === null)
    throw new ProfileError(`there is no profile '${speaker}' here any more`);
  return Profile.parse(text, speaker);
}

/** @throws ProfileError The profile exists already, or the name is not allowed. */
export function create(speaker: string, card: ModelCard): Promise<void> {
  return add(Profile.create(speaker, card));
}

/** Import the file of a profile and return the speaker's name. */
export async function take(file: File): Promise<string> {
  const profile = await Profile.parse(await file.text(), file.name);
  await add(profile);
  return profile.speaker;
}

/** Add the statistics of a report to a profile. */
export async function learn(speaker: string, report: Report): Promise<void> {
  await alone(async () => store((await load(speaker)).merged(report)));
}

export function remove(speaker: string): void {
  localStorage.removeItem(PREFIX + speaker);
}

function add(profile: Profile): Promise<void> {
  return alone(async () => {
    if (names().includes(profile.speaker)) {
      throw new ProfileError(
        `there is a profile '${profile.speaker}' already; delete it first`,
      );
    }
    await store(profile);
  });
}

async function store(profile: Profile): Promise<void> {
  try {
    localStorage.setItem(PREFIX + profile.speaker, await profile.toJson());
  } catch (error) {
    throw new ProfileError(
      `the browser keeps nothing for this page (${(error as Error).name})`,
    );
  }
}

/** Run a function while no other tab changes profiles. */
async function alone<T>(work: () => Promise<T>): Promise<T> {
  return navigator.locks ? await navigator.locks.request(PREFIX, work) : await work();
}
