// Structures of RFC 5280 as far as they are looked into. What is compared byte by byte stays bytes: names, keys, algorithms. Parsing and writing them
// again would take half the time of a verification.
import { AsnIntegerArrayBufferConverter, AsnProp, AsnPropTypes } from '@peculiar/asn1-schema';
import { Extension, Time, Validity } from '@peculiar/asn1-x509';

const { Any, BitString, Integer } = AsnPropTypes;

const none = () => new ArrayBuffer(0);

/** Unique identifiers of issuer and subject, which nobody has used for decades, have no place here: a certificate with one is refused. */
export class TbsCertificateSchema {
  version = 0;
  serial = none();
  algorithm = none();
  issuer = none();
  validity = new Validity();
  subject = none();
  publicKey = none();
  extensions?: Extension[];
}
AsnProp({ type: Integer, context: 0, defaultValue: 0 })(TbsCertificateSchema.prototype, 'version');
AsnProp({ type: Integer, converter: AsnIntegerArrayBufferConverter })(TbsCertificateSchema.prototype, 'serial');
AsnProp({ type: Any })(TbsCertificateSchema.prototype, 'algorithm');
AsnProp({ type: Any })(TbsCertificateSchema.prototype, 'issuer');
AsnProp({ type: Validity })(TbsCertificateSchema.prototype, 'validity');
AsnProp({ type: Any })(TbsCertificateSchema.prototype, 'subject');
AsnProp({ type: Any })(TbsCertificateSchema.prototype, 'publicKey');
AsnProp({ type: Extension, context: 3, repeated: 'sequence', optional: true })(
  TbsCertificateSchema.prototype,
  'extensions',
);

export class CertificateSchema {
  inner = new TbsCertificateSchema();
  /** The bytes of `inner`, as they were signed. */
  innerRaw?: ArrayBuffer;
  algorithm = none();
  signature = none();
}
AsnProp({ type: TbsCertificateSchema, raw: true })(CertificateSchema.prototype, 'inner');
AsnProp({ type: Any })(CertificateSchema.prototype, 'algorithm');
AsnProp({ type: BitString })(CertificateSchema.prototype, 'signature');

/** Without the certificates on it. */
export class TbsCrlSchema {
  version?: number;
  algorithm = none();
  issuer = none();
  thisUpdate = new Time();
  nextUpdate?: Time;
  extensions?: Extension[];
}
AsnProp({ type: Integer, optional: true })(TbsCrlSchema.prototype, 'version');
AsnProp({ type: Any })(TbsCrlSchema.prototype, 'algorithm');
AsnProp({ type: Any })(TbsCrlSchema.prototype, 'issuer');
AsnProp({ type: Time })(TbsCrlSchema.prototype, 'thisUpdate');
AsnProp({ type: Time, optional: true })(TbsCrlSchema.prototype, 'nextUpdate');
AsnProp({ type: Extension, context: 0, repeated: 'sequence', optional: true })(TbsCrlSchema.prototype, 'extensions');

export class CrlSchema {
  inner = new TbsCrlSchema();
  algorithm = none();
  signature = none();
}
AsnProp({ type: TbsCrlSchema })(CrlSchema.prototype, 'inner');
AsnProp({ type: Any })(CrlSchema.prototype, 'algorithm');
AsnProp({ type: BitString })(CrlSchema.prototype, 'signature');
