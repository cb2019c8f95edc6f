//! TLS connections that this server opens, and the authorities that they trust.

use std::{fmt::Display, path::Path, sync::Arc};

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

/// The authorities in a PEM file, or Mozilla's list.
///
/// # Errors
///
/// The path of the file, and the reason.
pub(crate) fn authorities(file: Option<&Path>) -> Result<RootCertStore, String> {
    let Some(file) = file else {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    };
    let refused = |error: &dyn Display| format!("{}: {error}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| refused(&error))? {
        roots.add(certificate.map_err(|error| refused(&error))?).map_err(|error| refused(&error))?;
    }
    if roots.is_empty() { Err(refused(&"contains no certificate")) } else { Ok(roots) }
}

/// Connects to servers over HTTP and HTTPS. For https, it trusts these authorities.
///
/// # Errors
///
/// If TLS cannot be set up.
pub(crate) fn connector(authorities: RootCertStore) -> Result<HttpsConnector<HttpConnector>, rustls::Error> {
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities)
        .with_no_client_auth();
    Ok(HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build())
}
