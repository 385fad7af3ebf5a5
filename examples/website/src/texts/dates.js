// Dates as people read them, in the time of the company and not of the server.

const TIME_ZONE = 'Europe/Oslo';

export function dates(locale) {
  const date = new Intl.DateTimeFormat(locale, { dateStyle: 'long', timeZone: TIME_ZONE });
  const dateTime = new Intl.DateTimeFormat(locale, { dateStyle: 'long', timeStyle: 'short', timeZone: TIME_ZONE });
  return { date: (ms) => date.format(ms), dateTime: (ms) => dateTime.format(ms) };
}
