// Whose website this is: the first thing to change. The same company as [controller] in lead-intake.toml.

export const company = {
  name: 'Furuly Snekkeri AS',
  shortName: 'Furuly',
  address: 'Eksempelveien 1, 0001 Oslo',
  organisationNumber: '123 456 789',
  phone: '12 34 56 78',
  email: 'hei@furuly.example',
};
