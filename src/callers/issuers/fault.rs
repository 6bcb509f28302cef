//! What is wrong with a token, in words that tell nothing of it.

/// Why a token tells nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It is larger than any that is read.
    #[error("the token is larger than 16 KiB")]
    TooLarge,
    /// It is no signed token, or signed by what is not known at all.
    #[error("the token cannot be read: it must be a JWT, signed with an algorithm that its issuer may use here")]
    Unreadable,
    /// Its algorithm is not one that its issuer may use.
    #[error("the token is signed with an algorithm that its issuer may not use here")]
    Algorithm,
    /// Its `typ` says that it is for something else.
    #[error("the token is of a type that says nothing about who calls")]
    Type,
    /// Nobody vouches for who issued it.
    #[error("the token's issuer is not known here")]
    Issuer,
    /// Its issuer does not show the key that it names.
    #[error("the token is signed with a key that its issuer does not show, or not any more")]
    Key,
    /// Its signature is not that of its text.
    #[error("the token's signature is not valid")]
    Signature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// It says that it was issued later than now.
    #[error("the token was issued in the future: a clock is wrong, here or at its issuer")]
    IssuedLater,
    /// It is for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// A claim that must be there is not, or is of another kind.
    #[error("the token lacks a claim that is needed, or has one in another form: `{0}`")]
    Claim(&'static str),
    /// The claim that names the caller is not there, or no name.
    #[error("the token does not name its caller, or not in 1 to 200 visible ASCII characters")]
    Name,
    /// The claim that says what may be asked for is not there.
    #[error("the token does not say which models its caller may ask for")]
    Models,
    /// It is good, and nothing is laid down for whom it tells.
    #[error("the token is valid, and nothing says here what its caller may do")]
    Nobody,
}
