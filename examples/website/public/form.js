// What the form gains where scripts run. Without this file it works all the same.
//
// The key of a form (its request_id) is made by the server. Here it is kept for this tab, so that a reload before the answer
// came sends the same key again; and given up when the confirmation is shown, so that the next form is another one.
// Nothing that was typed is kept.

const KEY = 'lead-form-key';
const SENT = 'lead-form-sent';
// Then a form may be sent again by hand, with the same key. The server gives up before that.
const SENDING_MS_MAX = 30_000;

if (document.querySelector('[data-received]')) {
  const key = sessionStorage.getItem(KEY);
  if (key) sessionStorage.setItem(SENT, key);
  sessionStorage.removeItem(KEY);
}

const form = document.querySelector('form');
const button = form?.querySelector('button[type=submit]');
let sending = false;

function settle() {
  sending = false;
  if (!button || !button.dataset.label) return;
  button.textContent = button.dataset.label;
  button.removeAttribute('aria-disabled');
}

function keepKey() {
  const field = form?.elements.request_id;
  if (!field) return;
  if (form.dataset.key === 'new' && field.value === sessionStorage.getItem(SENT)) {
    // The back button, after the form was sent: the browser shows it as it was. A new one has a new key.
    location.replace(location.pathname);
    return;
  }
  const kept = sessionStorage.getItem(KEY);
  if (form.dataset.key === 'new' && kept) field.value = kept;
  else sessionStorage.setItem(KEY, field.value);
}

form?.addEventListener('submit', (event) => {
  // The second click of a double-click. Without scripts the key does the same.
  if (sending) return event.preventDefault();
  sending = true;
  button.dataset.label = button.textContent;
  button.textContent = button.dataset.sending;
  button.setAttribute('aria-disabled', 'true');
  return setTimeout(settle, SENDING_MS_MAX);
});

// Also when the browser brings back a page that it had kept alive.
addEventListener('pageshow', () => {
  settle();
  keepKey();
});
